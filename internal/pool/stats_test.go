package pool

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestStatsAreWhatIs(t *testing.T) {
	bubble(t, &cloud{bootFor: time.Second}, func(c *Config) { c.Max, c.MaxConcurrency = 2, 2 }, func(t *testing.T, p *Pool) {
		cs := new(calls).make(t.Context(), p, 0, times(5, "for 10s")...)
		if s := p.Stats(); s.Booting != 2 || s.Ready != 0 || s.Waiting != 5 || s.Running != 0 || len(s.Runners) != 2 {
			t.Errorf("while they boot: %+v", s)
		}
		time.Sleep(2 * time.Second)
		s := p.Stats()
		if s.Booting != 0 || s.Ready != 2 || s.Draining != 0 || s.Running != 4 || s.Waiting != 1 || len(s.Runners) != 2 {
			t.Fatalf("while they run: %+v", s)
		}
		if a, b := s.Runners[0], s.Runners[1]; a.Running != 2 || b.Running != 2 || a.Served+b.Served != 0 || a.ID >= b.ID {
			t.Errorf("while they run: %+v", s)
		}
		cs.succeed(t)
		if s := p.Stats(); s.Running != 0 || s.Waiting != 0 || s.Runners[0].Served+s.Runners[1].Served != 5 {
			t.Errorf("after: %+v", s)
		}
		p.Close()
		synctest.Wait()
		if s := p.Stats(); s.Booting+s.Ready+s.Draining+s.Running+s.Waiting+len(s.Runners) != 0 {
			t.Errorf("after Close: %+v", s)
		}
	})
}

package pool

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetinglambda/flame/internal/session"
)

func TestF5_MinRunnersLeaveWhenNobodyComes(t *testing.T) {
	c := &cloud{}
	change := func(c *Config) { c.Min, c.IdleShutdownAfter, c.MinIdleShutdownAfter = 3, time.Minute, time.Hour }
	bubble(t, c, change, func(t *testing.T, p *Pool) {
		time.Sleep(59 * time.Minute)
		if n := len(c.alive()); n != 3 {
			t.Fatalf("%d runners before the hour is over", n)
		}
		time.Sleep(2 * time.Minute)
		if n := len(c.alive()); n != 0 {
			t.Fatalf("%d runners after an hour without a call", n)
		}
		new(calls).make(t.Context(), p, 0, "echo").succeed(t)
		if n := len(c.alive()); n != 3 {
			t.Errorf("%d runners after a call", n)
		}
	})
}

func TestF5_ARunnerThatSaysItIsNotIdleStays(t *testing.T) {
	busyUntil := time.Now()
	c := &cloud{}
	change := func(c *Config) {
		c.IdleShutdownAfter = time.Minute
		c.IdleCheck = func(context.Context, *session.Session) (bool, error) { return time.Now().After(busyUntil), nil }
	}
	bubble(t, c, change, func(t *testing.T, p *Pool) {
		busyUntil = time.Now().Add(150 * time.Second)
		new(calls).make(t.Context(), p, 0, "echo").succeed(t)
		time.Sleep(140 * time.Second)
		if n := len(c.alive()); n != 1 {
			t.Errorf("%d runners while it is not idle", n)
		}
		time.Sleep(time.Minute)
		if n := len(c.alive()); n != 0 {
			t.Errorf("%d runners when it is", n)
		}
	})
}

func TestF5_ACallThatComesWhileARunnerIsAskedKeepsItUp(t *testing.T) {
	c := &cloud{}
	change := func(c *Config) {
		c.IdleShutdownAfter = time.Minute
		c.IdleCheck = func(context.Context, *session.Session) (bool, error) {
			time.Sleep(2 * time.Second)
			return true, nil
		}
	}
	bubble(t, c, change, func(t *testing.T, p *Pool) {
		new(calls).make(t.Context(), p, 0, "echo").succeed(t)
		time.Sleep(61 * time.Second)
		new(calls).make(t.Context(), p, 0, "echo").succeed(t)
		time.Sleep(30 * time.Second)
		if n := len(c.alive()); n != 1 || c.booted() != 1 {
			t.Errorf("%d runners, %d boots", n, c.booted())
		}
	})
}

func TestN04_WhoIgnoresItsEndCostsItsRunner(t *testing.T) {
	// Given a function that goes on after its deadline at 1 s, a grace of 2 s and 5 s for the others on its runner:
	// the one that is over in time has its answer, the other is lost at 8 s and knows whose fault it was.
	c := &cloud{}
	change := func(c *Config) {
		c.Max, c.MaxConcurrency, c.KillGrace, c.ShutdownTimeout = 2, 3, 2*time.Second, 5*time.Second
	}
	bubble(t, c, change, func(t *testing.T, p *Pool) {
		culprit := new(calls).make(t.Context(), p, time.Second, "stubborn 1h")
		others := new(calls).make(t.Context(), p, 0, "for 6s", "for 1h")
		time.Sleep(4 * time.Second)
		later := new(calls).make(t.Context(), p, 0, "echo").succeed(t)
		if later.all[0].Runner == culprit.all[0].Runner {
			t.Error("a runner that is to be killed had another call")
		}
		if culprit.wait(); culprit.took[0] != time.Second {
			t.Errorf("its caller waited %v", culprit.took[0])
		}
		others.wait()
		var lost *LostError
		var stuck *StuckError
		if err := others.all[1].Err; !errors.As(err, &lost) || !errors.As(err, &stuck) || !lost.Started ||
			stuck.Call != 1 || others.took[1] != 8*time.Second {
			t.Errorf("after %v: %s", others.took[1], causes(err))
		}
		if others.all[0].Err != nil {
			t.Errorf("the one that was over in time: %v", others.all[0].Err)
		}
	})
}

func TestN04_WhereNobodyWaitsNobodyIsWaitedFor(t *testing.T) {
	c := &cloud{}
	bubble(t, c, func(c *Config) { c.Max, c.KillGrace = 1, 2*time.Second }, func(t *testing.T, p *Pool) {
		cs := new(calls).make(t.Context(), p, time.Second, "stubborn 1h").make(t.Context(), p, time.Minute, "echo").wait()
		if cs.all[1].Err != nil || cs.took[1] > 4*time.Second {
			t.Errorf("the next call: %v after %v", cs.all[1].Err, cs.took[1])
		}
	})
}

func TestN06_RetryRunsALostCallAgain(t *testing.T) {
	m := &cloud{}
	bubble(t, m, func(c *Config) { c.Max = 1 }, func(t *testing.T, p *Pool) {
		for retry := range 3 {
			c := message("for 10s " + strings.Repeat("x", retry))
			c.Retry = retry
			var wg sync.WaitGroup
			wg.Go(func() { p.Do(t.Context(), c) })
			for range 2 { // two runners die
				time.Sleep(2 * time.Second)
				for _, up := range m.alive() {
					up.die(errors.New("crash"))
				}
			}
			if wg.Wait(); (c.Err == nil) != (retry == 2) || c.Attempt != min(retry+1, 3) {
				t.Errorf("with %d retries, attempt %d: %v", retry, c.Attempt, c.Err)
			}
		}
	})
}

func TestN07_FullLine(t *testing.T) {
	change := func(c *Config) { c.Max, c.MaxQueue, c.MaxQueueBytes = 1, 3, 100 }
	bubble(t, &cloud{}, change, func(t *testing.T, p *Pool) {
		held := new(calls).make(t.Context(), p, 0, "for 10s")
		var ended int
		sized := func(size int64) error {
			c := message("echo")
			c.Size, c.Ended = size, func(c *Call) { ended++ }
			return p.Start(t.Context(), c)
		}
		for _, step := range []struct {
			size int64
			err  error
		}{{1000, nil}, {1, ErrQueueFull}, {0, nil}, {0, nil}, {0, ErrQueueFull}} {
			if err := sized(step.size); err != step.err {
				t.Errorf("a call of %d bytes: %v", step.size, err)
			}
		}
		if s := p.Stats(); s.Waiting != 3 || s.WaitingBytes != 1000 || s.Refused != 2 {
			t.Errorf("%+v", s)
		}
		held.succeed(t)
		synctest.Wait()
		if err := sized(1); err != nil || ended != 3 {
			t.Errorf("when the line is empty again: %v; %d have ended", err, ended)
		}
	})
}

func TestN07_ThePriorityComesFirst(t *testing.T) {
	bubble(t, &cloud{}, func(c *Config) { c.Max = 1 }, func(t *testing.T, p *Pool) {
		held := new(calls).make(t.Context(), p, 0, "for 1s")
		var order []int
		for i, priority := range []int{0, 5, -1, 5, 0} {
			c := message("for 1s")
			c.Priority, c.Ended = priority, func(*Call) { order = append(order, i) }
			if err := p.Start(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		line := p.Stats().Line
		held.succeed(t)
		time.Sleep(time.Minute)
		synctest.Wait()
		if want := []int{1, 3, 0, 4, 2}; !slices.Equal(order, want) {
			t.Errorf("they ended in the order %v, not %v", order, want)
		}
		if want := []LineStats{{5, 2}, {0, 2}, {-1, 1}}; !slices.Equal(line, want) {
			t.Errorf("the lines were %v", line)
		}
	})
}

func TestN09_ResizeWhileCallsRun(t *testing.T) {
	c := &cloud{bootFor: time.Second}
	bubble(t, c, func(c *Config) { c.Max = 8 }, func(t *testing.T, p *Pool) {
		p.config.Max = 8 // for the check at the end
		cs := new(calls).make(t.Context(), p, 0, times(8, "for 10s")...).make(t.Context(), p, 0, times(4, "for 1s")...)
		time.Sleep(2 * time.Second)
		if err := p.Resize(1, 2); err != nil {
			t.Fatal(err)
		}
		if s := p.Stats(); s.Ready != 2 || s.Draining != 6 || s.Running != 8 || s.Max != 2 {
			t.Errorf("when it is made smaller: %+v", s)
		}
		if cs.succeed(t); cs.last() > 15*time.Second {
			t.Errorf("all was over after %v", cs.last())
		}
		if n := len(c.alive()); n != 2 {
			t.Errorf("%d runners, max is 2", n)
		}
		if err := p.Resize(5, 6); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if n := len(c.alive()); n != 5 {
			t.Errorf("%d runners, min is 5", n)
		}
		for _, bad := range [][2]int{{-1, 1}, {0, 0}, {3, 2}} {
			if err := p.Resize(bad[0], bad[1]); err == nil {
				t.Errorf("resize to %v has no error", bad)
			}
		}
		p.Close()
		if err := p.Resize(1, 1); err != ErrClosed {
			t.Errorf("resize after close: %v", err)
		}
	})
}

func TestN09_HeadroomIsKept(t *testing.T) {
	c := &cloud{bootFor: time.Second}
	change := func(c *Config) { c.Headroom, c.MaxConcurrency, c.IdleShutdownAfter = 3, 2, time.Second }
	bubble(t, c, change, func(t *testing.T, p *Pool) {
		time.Sleep(2 * time.Second)
		if n := len(c.alive()); n != 2 {
			t.Errorf("%d runners of 2 slots, headroom is 3", n)
		}
		cs := new(calls).make(t.Context(), p, 0, times(4, "for 10s")...)
		time.Sleep(2 * time.Second)
		if n := len(c.alive()); n != 4 {
			t.Errorf("%d runners of 2 slots for 4 calls, headroom is 3", n)
		}
		cs.succeed(t)
		if cs.last() > 11*time.Second {
			t.Errorf("they waited for boots: %v", cs.last())
		}
		time.Sleep(time.Minute)
		if n := len(c.alive()); n != 2 {
			t.Errorf("%d runners at rest", n)
		}
	})
}

func TestN09_OldRunnersAreReplacedWhenTheirCallsAreOver(t *testing.T) {
	c := &cloud{}
	change := func(c *Config) { c.Min, c.Max, c.MaxRunnerAge = 2, 3, time.Hour }
	bubble(t, c, change, func(t *testing.T, p *Pool) {
		new(calls).make(t.Context(), p, 0, "for 90m").succeed(t)
		time.Sleep(time.Minute)
		if n := len(c.alive()); n != 2 || c.booted() < 4 {
			t.Errorf("%d runners, %d boots", n, c.booted())
		}
		for _, r := range p.Stats().Runners {
			if r.Age > time.Hour {
				t.Errorf("%+v", r)
			}
		}
	})
}

func TestARunnerThatSaysItLeavesHasNoMoreCalls(t *testing.T) {
	leaves := make(map[*session.Session]chan struct{})
	var all []chan struct{}
	change := func(c *Config) {
		c.MaxConcurrency = 2
		c.Leaving = func(s *session.Session) <-chan struct{} {
			leaves[s] = make(chan struct{})
			all = append(all, leaves[s])
			return leaves[s]
		}
	}
	c := &cloud{}
	bubble(t, c, change, func(t *testing.T, p *Pool) {
		first := new(calls).make(t.Context(), p, 0, "for 10s")
		close(all[0])
		synctest.Wait()
		second := new(calls).make(t.Context(), p, 0, "echo").succeed(t)
		if first.succeed(t); first.all[0].Runner == second.all[0].Runner {
			t.Error("it had another call")
		}
		time.Sleep(time.Second)
		if n := len(c.alive()); n != 1 {
			t.Errorf("%d runners are left", n)
		}
	})
}

func TestN06_ACallThatWasLostAndIsNotRunAgainMayHaveRun(t *testing.T) {
	m := &cloud{bootFor: 10 * time.Second}
	bubble(t, m, func(c *Config) { c.Max = 1 }, func(t *testing.T, p *Pool) {
		c := message("for 1h")
		c.Retry = 5
		var wg sync.WaitGroup
		wg.Go(func() { p.Do(t.Context(), c) })
		time.Sleep(20 * time.Second)
		m.alive()[0].die(errors.New("crash"))
		time.Sleep(5 * time.Second)
		p.Close()
		wg.Wait()
		lost := new(LostError)
		if !errors.As(c.Err, &lost) || !lost.Started || errors.Is(c.Err, ErrClosed) {
			t.Errorf("%s", causes(c.Err))
		}
	})
}

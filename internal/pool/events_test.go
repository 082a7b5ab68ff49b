package pool

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// diary is a reader of events that keeps them.
type diary struct {
	mu     sync.Mutex // guards what follows
	events []Event
}

func (d *diary) write(e Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, e)
}

func (d *diary) kinds() (kinds []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.events {
		kinds = append(kinds, e.Kind.String())
	}
	return kinds
}

func TestF11_EventsTellTheWholeStory(t *testing.T) {
	d := new(diary)
	c := &cloud{bootFor: time.Second, refuse: func(n int) error {
		if n == 0 {
			return errors.New("no machine")
		}
		return nil
	}}
	change := func(c *Config) { c.OnEvent, c.IdleShutdownAfter = d.write, time.Minute }
	bubble(t, c, change, func(t *testing.T, p *Pool) {
		new(calls).make(t.Context(), p, 0, "for 2s").succeed(t)
		time.Sleep(2 * time.Minute)
		p.Close()
		want := []string{
			"call queued", "runner booting", "boot failed", "runner booting", "runner up", "call leased", "call started",
			"call ended", "runner draining", "runner gone", "closing",
		}
		if got := d.kinds(); !slices.Equal(got, want) {
			t.Fatalf("the events are %q", got)
		}
		failed, ended, draining := d.events[2], d.events[7], d.events[8]
		if boot := new(BootError); !errors.As(failed.Err, &boot) || boot.Attempts != 1 || failed.Runner == "" {
			t.Errorf("%+v", failed)
		}
		if ended.Call != 1 || ended.Attempt != 1 || ended.Ran != 2*time.Second || ended.Waited < 2*time.Second {
			t.Errorf("%+v", ended)
		}
		if draining.Reason != Idle || draining.Time.Sub(ended.Time) != time.Minute {
			t.Errorf("%+v", draining)
		}
	})
}

func TestB15_ASlowReaderOfEventsHoldsNothingUp(t *testing.T) {
	block := make(chan struct{})
	first := true
	d := new(diary)
	bubble(t, &cloud{}, func(c *Config) { c.Min = 1 }, func(t *testing.T, p *Pool) {
		block = make(chan struct{})
		stop := p.Subscribe(func(e Event) {
			if first {
				first = false
				<-block
			}
			d.write(e)
		})
		defer stop()
		for range feedLimit {
			if err := p.Do(t.Context(), message("echo")); err != nil {
				t.Fatal(err)
			}
		}
		if n := p.Stats().Dropped; n == 0 {
			t.Error("no event was dropped")
		}
		close(block)
		synctest.Wait()
		p.Do(t.Context(), message("echo"))
		synctest.Wait()
		missed := uint64(0)
		for _, e := range d.events {
			missed += e.Dropped
		}
		if n := p.Stats().Dropped; missed != n || len(d.events)+int(n) != 4*(feedLimit+1) {
			t.Errorf("%d were told, %d dropped, it was said of %d", len(d.events), n, missed)
		}
	})
}

func TestB15_AReaderOfEventsMayPanicAndUseThePool(t *testing.T) {
	var log bytes.Buffer
	d := new(diary)
	change := func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) }
	bubble(t, &cloud{}, change, func(t *testing.T, p *Pool) {
		p.Subscribe(func(e Event) {
			d.write(e)
			switch p.Stats(); e.Kind {
			case CallStarted:
				panic("a reader's fault")
			case CallEnded:
				p.Close()
			}
		})
		new(calls).make(t.Context(), p, 0, "echo").succeed(t)
		synctest.Wait()
		if err := p.Do(t.Context(), message("echo")); err != ErrClosed {
			t.Errorf("after Close in an event: %v", err)
		}
		if !slices.Contains(d.kinds(), "call ended") || !strings.Contains(log.String(), "a reader's fault") {
			t.Errorf("it read %q; logged: %s", d.kinds(), log.String())
		}
	})
}

func TestWhoHasStoppedReadingEventsIsToldNoMore(t *testing.T) {
	d := new(diary)
	bubble(t, &cloud{}, func(c *Config) { c.Min = 1 }, func(t *testing.T, p *Pool) {
		stop := p.Subscribe(d.write)
		new(calls).make(t.Context(), p, 0, "echo").succeed(t)
		synctest.Wait()
		n := len(d.kinds())
		stop()
		stop()
		new(calls).make(t.Context(), p, 0, "echo").succeed(t)
		synctest.Wait()
		if got := d.kinds(); len(got) != n || n != 4 {
			t.Errorf("it read %q", got)
		}
		p.Close()
		p.Subscribe(d.write)()
	})
}

func TestStatsAndEventsAgree(t *testing.T) {
	d := new(diary)
	c := &cloud{bootFor: time.Second}
	change := func(c *Config) { c.OnEvent, c.Max, c.MaxQueue, c.MaxConcurrency = d.write, 3, 20, 2 }
	bubble(t, c, change, func(t *testing.T, p *Pool) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		cs := new(calls).make(ctx, p, 0, times(10, "for 2s")...).make(t.Context(), p, 4*time.Second, times(15, "stubborn 2s")...)
		time.Sleep(2500 * time.Millisecond)
		c.alive()[0].die(errors.New("crash"))
		cs.wait()
		time.Sleep(time.Minute)
		p.Close()
		r, end := newReplay(t), time.Duration(0)
		for _, e := range d.events {
			if e.at < end {
				t.Errorf("%v at %v, after %v", e.Kind, e.at, end)
			}
			end = e.at
			r.read(e)
		}
		s := p.Stats()
		if s.Refused == 0 || s.Lost == 0 || s.Left == 0 || s.Failed == 0 || s.Ended == 0 {
			t.Errorf("not everything has happened: %+v", s)
		}
		r.agrees(s, end)
	})
}

package pool

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// lasting is a call whose result is held.
type lasting struct {
	Call
	begun  time.Time
	closed chan error
	after  time.Duration // until it was closed
	last   string
}

func newLasting(what string) *lasting {
	l := &lasting{begun: time.Now(), closed: make(chan error, 2)}
	l.Encode, l.Holds = message(what).Encode, true
	l.Closed = func(_ *Call, last []byte, err error) {
		l.after, l.last = time.Since(l.begun), string(last)
		l.closed <- err
	}
	return l
}

// eachWay makes a call with Do and with Start.
func eachWay(t *testing.T, change func(*Config), f func(t *testing.T, c *cloud, p *Pool, call func(context.Context, *lasting))) {
	t.Run("Do", func(t *testing.T) {
		c := &cloud{}
		bubble(t, c, change, func(t *testing.T, p *Pool) {
			f(t, c, p, func(ctx context.Context, l *lasting) { p.Do(ctx, &l.Call) })
		})
	})
	t.Run("Start", func(t *testing.T) {
		c := &cloud{}
		bubble(t, c, change, func(t *testing.T, p *Pool) {
			f(t, c, p, func(ctx context.Context, l *lasting) {
				ended := make(chan struct{})
				l.Ended = func(*Call) { close(ended) }
				if err := p.Start(ctx, &l.Call); err != nil {
					t.Fatal(err)
				}
				<-ended
			})
		})
	})
}

func TestF13_AHeldResultKeepsItsRunnerAndItsSlot(t *testing.T) {
	change := func(c *Config) { c.Max, c.MaxConcurrency, c.IdleShutdownAfter = 1, 2, time.Second }
	eachWay(t, change, func(t *testing.T, c *cloud, p *Pool, call func(context.Context, *lasting)) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
		defer cancel()
		l := newLasting("hold 1h")
		l.Timeout, l.Retry = time.Minute, 1
		call(ctx, l)
		if l.Err != nil || !l.Held || string(l.Reply) != "hold 1h" || time.Since(l.begun) != 0 {
			t.Fatalf("%v, held: %v, after %v", l.Err, l.Held, time.Since(l.begun))
		}
		time.Sleep(time.Hour - 1)
		s := p.Stats()
		if s.Held != 1 || s.Running != 1 || len(s.Runners) != 1 || s.Runners[0].Held != 1 || s.Runners[0].Idle != 0 || s.Left != 0 {
			t.Errorf("%+v", s)
		}
		new(calls).make(t.Context(), p, 0, "echo").succeed(t)
		if err := <-l.closed; err != nil || l.after != time.Hour || l.last != "hold 1h" {
			t.Errorf("%v after %v, at last %q", err, l.after, l.last)
		}
		synctest.Wait()
		if s := p.Stats(); s.Held != 0 || s.Running != 0 || s.Ended != 2 || s.Runners[0].Held != 0 || s.Runners[0].Served != 2 {
			t.Errorf("when it is closed: %+v", s)
		}
		time.Sleep(2 * time.Hour) // nothing more comes of ctx
		if n := len(l.closed); n != 0 || p.Stats().Ready != 0 {
			t.Errorf("closed %d more times; %+v", n, p.Stats())
		}
	})
}

func TestF13_AHeldResultEndsWithItsContext(t *testing.T) {
	why := errors.New("enough")
	change := func(c *Config) { c.Max, c.KillGrace = 1, 5*time.Second }
	eachWay(t, change, func(t *testing.T, c *cloud, p *Pool, call func(context.Context, *lasting)) {
		for i, what := range []string{"hold 1h", "clutch 1s", "clutch 1h"} {
			ctx, cancel := context.WithCancelCause(t.Context())
			l := newLasting(what)
			call(ctx, l)
			time.Sleep([]time.Duration{10 * time.Minute, 0, 0}[i])
			cancel(why)
			err := <-l.closed
			if late := new(TimeoutError); !errors.As(err, &late) || late.Cause != why || !late.Started || l.last != "" {
				t.Errorf("%s: %s", what, causes(err))
			}
			begun := time.Now()
			new(calls).make(t.Context(), p, 0, "echo").succeed(t)
			if took, want := time.Since(begun), []time.Duration{0, time.Second, 5 * time.Second}[i]; took != want {
				t.Errorf("%s: the next call had the slot after %v, not %v", what, took, want)
			}
		}
		if s := p.Stats(); s.Boots != 2 || s.Held != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestF13_AResultThatNobodyGetsIsNotHeld(t *testing.T) {
	bubble(t, &cloud{}, func(c *Config) { c.Max = 1 }, func(t *testing.T, p *Pool) {
		l := newLasting("later 10s")
		l.Detached = true
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.Do(ctx, &l.Call); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		new(calls).make(t.Context(), p, 0, "echo").succeed(t)
		if s := p.Stats(); s.Held != 0 || s.Running != 0 || l.Held || time.Since(l.begun) != 10*time.Second {
			t.Errorf("%+v after %v", s, time.Since(l.begun))
		}
	})
}

func TestF13_ALostRunnerLosesWhatIsHeldAndNothingIsRunAgain(t *testing.T) {
	eachWay(t, func(c *Config) { c.Max = 1 }, func(t *testing.T, c *cloud, p *Pool, call func(context.Context, *lasting)) {
		l := newLasting("hold 1h")
		l.Retry = 3
		call(t.Context(), l)
		time.Sleep(time.Second)
		c.alive()[0].die(errors.New("crash"))
		err := <-l.closed
		if lost := new(LostError); !errors.As(err, &lost) || !lost.Started || lost.Runner != l.Runner || string(lost.Output) != "last words" {
			t.Errorf("%s", causes(err))
		}
		synctest.Wait()
		if s := p.Stats(); s.Running+s.Held != 0 || s.Retried != 0 || s.Lost != 0 || s.Ended != 1 || l.Err != nil {
			t.Errorf("%+v", s)
		}
	})
}

func TestF13_CloseCutsWhatIsHeldAndShutdownWaits(t *testing.T) {
	eachWay(t, nil, func(t *testing.T, c *cloud, p *Pool, call func(context.Context, *lasting)) {
		short, long := newLasting("hold 10s"), newLasting("hold 1h")
		call(t.Context(), short)
		call(t.Context(), long)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := p.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if err := <-short.closed; err != nil || short.after != 10*time.Second {
			t.Errorf("%v after %v", err, short.after)
		}
		lost := new(LostError)
		if err := <-long.closed; !errors.As(err, &lost) || !lost.Started || long.after != time.Minute {
			t.Errorf("%v after %v", err, long.after)
		}
	})
}

func TestF13_ASpentRunnerLeavesWhenWhatItHoldsIsClosed(t *testing.T) {
	d := new(diary)
	change := func(c *Config) { c.SingleUse, c.OnEvent = true, d.write }
	c := &cloud{}
	bubble(t, c, change, func(t *testing.T, p *Pool) {
		l := newLasting("hold 10s")
		p.Do(t.Context(), &l.Call)
		time.Sleep(9 * time.Second)
		if n := len(c.alive()); n != 1 {
			t.Errorf("%d runners", n)
		}
		<-l.closed
		time.Sleep(time.Second)
		if n := len(c.alive()); n != 0 {
			t.Errorf("%d runners when it is closed", n)
		}
		want := []string{"call held", "call ended", "runner draining", "runner gone"}
		if got := d.kinds(); !slices.Equal(got[len(got)-4:], want) {
			t.Errorf("the events are %q", got)
		}
	})
}

package pool

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// A caller that gives up in the instant in which it gets a slot, before its goroutine has woken, returns the slot.
func TestB08_SlotThatComesWithTheOutcomeIsReturned(t *testing.T) {
	bubble(t, &cloud{}, func(c *Config) { c.Max = 1 }, func(t *testing.T, p *Pool) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		running, waiting := new(calls).make(ctx, p, 0, "for 1s"), new(calls).make(ctx, p, 0, "echo")
		p.event(nil, func(now time.Duration) { // all at once
			p.state.finish(running.all[0], nil, now)
			p.state.expire(waiting.all[0], context.Canceled, now)
		})
		waiting.wait()
		p.mu.Lock()
		held := p.state.running
		p.mu.Unlock()
		if !errors.Is(waiting.all[0].Err, context.Canceled) || held != 0 {
			t.Errorf("%s, and %d slots are held by nobody", causes(waiting.all[0].Err), held)
		}
	})
}

func TestCloseSaysOfARunningCallThatItHadStarted(t *testing.T) {
	bubble(t, &cloud{}, func(c *Config) { c.Max = 1 }, func(t *testing.T, p *Pool) {
		cs := new(calls).make(t.Context(), p, 0, "for 1h", "echo")
		p.Close()
		cs.wait()
		var lost *LostError
		if err := cs.all[0].Err; !errors.As(err, &lost) || !lost.Started || errors.Is(err, ErrClosed) {
			t.Errorf("the running one: %s, taken for a call that did not run: %v", causes(err), errors.Is(err, ErrClosed))
		}
		if err := cs.all[1].Err; !errors.Is(err, ErrClosed) {
			t.Errorf("the waiting one: %s", causes(err))
		}
	})
}

// passed is a context whose deadline has passed and whose timer is late.
type passed struct{ context.Context }

func (passed) Deadline() (time.Time, bool) { return time.Now().Add(-time.Second), true }

func TestN15_PassedDeadlineTakesNoSlot(t *testing.T) {
	c := &cloud{}
	bubble(t, c, func(c *Config) { c.Min = 1 }, func(t *testing.T, p *Pool) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		cs := new(calls).make(passed{ctx}, p, 0, "echo", "echo").wait()
		for i, call := range cs.all {
			if !errors.Is(call.Err, context.DeadlineExceeded) {
				t.Errorf("call %d: %s", i, causes(call.Err))
			}
		}
		if c.begun != 0 {
			t.Errorf("%d functions ran", c.begun)
		}
	})
}

func TestB09_DeadlineIsADeadlineWhoeverNoticesItFirst(t *testing.T) {
	bubble(t, &cloud{}, func(c *Config) { c.Max = 1 }, func(t *testing.T, p *Pool) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("lunch"))
		defer cancel()
		cs := new(calls).make(ctx, p, 0, "forever", "echo").wait()
		<-ctx.Done()
		cs.make(ctx, p, 0, "echo").wait()
		for i, call := range cs.all {
			if !errors.Is(call.Err, context.DeadlineExceeded) {
				t.Errorf("call %d: %s", i, causes(call.Err))
			}
		}
	})
}

func TestPanicWhileEncodingFreesTheSlot(t *testing.T) {
	bubble(t, &cloud{}, func(c *Config) { c.Max = 1 }, func(t *testing.T, p *Pool) {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic is gone")
				}
			}()
			p.Do(t.Context(), &Call{Encode: func() ([][]byte, error) { panic("in the caller's code") }})
		}()
		new(calls).make(t.Context(), p, time.Second, "echo").succeed(t)
	})
}

func TestABootThatCloseCutsOffIsNoWarning(t *testing.T) {
	var warnings bytes.Buffer
	log := func(c *Config) {
		c.Logger = slog.New(slog.NewTextHandler(&warnings, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	bubble(t, &cloud{bootFor: time.Second}, log, func(t *testing.T, p *Pool) {
		cs := new(calls).make(t.Context(), p, 0, "echo", "echo")
		p.Close()
		cs.wait()
	})
	if warnings.Len() > 0 {
		t.Errorf("it says:\n%s", &warnings)
	}
}

func TestB03_ABurstThatFailsTogetherHasFailedOnce(t *testing.T) {
	s := newState(rules{max: 10, slots: 1, idleAfter: -1, jitter: func() float64 { return 0 }}, func() string { return "r" })
	for range 10 {
		s.arrive(new(Call), 0)
	}
	boots := bootsOf(s.take())
	for _, r := range boots {
		s.bootFailed(r, errBootless, time.Second)
	}
	if len(boots) != 10 || s.demand.failed != 1 || s.line.n != 10 {
		t.Errorf("%d boots, %d failures, %d calls wait", len(boots), s.demand.failed, s.line.n)
	}
}

func TestB03_AHungBootDoesNotHoldTheNextOneUp(t *testing.T) {
	s := newState(rules{max: 2, slots: 1, idleAfter: -1, jitter: func() float64 { return 0 }}, func() string { return "r" })
	s.arrive(new(Call), 0)
	s.arrive(new(Call), 0)
	boots := bootsOf(s.take()) // the first hangs
	s.bootFailed(boots[1], errBootless, time.Second)
	at, ok := s.due()
	s.tick(at)
	if again := bootsOf(s.take()); !ok || at > 2*time.Second || len(again) != 1 {
		t.Errorf("due at %v (%v), %d boots", at, ok, len(again))
	}
}

func bootsOf(actions []action) (boots []*runner) {
	for _, a := range actions {
		if a.kind == boot {
			boots = append(boots, a.r)
		}
	}
	return boots
}

func TestN15_ACallWhoseTimeIsOverWhileItIsEncodedIsNotSent(t *testing.T) {
	c := &cloud{}
	bubble(t, c, func(c *Config) { c.Min = 1 }, func(t *testing.T, p *Pool) {
		p.timer.Stop() // it is late
		p.armed = 1
		slow := message("echo")
		encode := slow.Encode
		slow.Timeout, slow.Encode = time.Second, func() ([][]byte, error) {
			time.Sleep(2 * time.Second)
			return encode()
		}
		late := new(TimeoutError)
		if err := p.Do(t.Context(), slow); !errors.As(err, &late) || late.Started {
			t.Errorf("%s", causes(err))
		}
		if s := p.Stats(); c.begun != 0 || s.Running != 0 {
			t.Errorf("%d functions ran; %+v", c.begun, s)
		}
	})
}

func TestF1_TheContextOfACastBoundsOnlyTheWaitForASlot(t *testing.T) {
	c := &cloud{}
	bubble(t, c, func(c *Config) { c.Max = 1 }, func(t *testing.T, p *Pool) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var errs [2]error
		for i := range errs {
			cast := message("for 10s")
			cast.UntilSlot, cast.Ended = true, func(c *Call) { errs[i] = c.Err }
			if err := p.Start(ctx, cast); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		late := new(TimeoutError)
		if errs[0] != nil || !errors.As(errs[1], &late) || late.Started || late.Queued != time.Second {
			t.Errorf("the one that had a slot: %v; the other: %+v", errs[0], errs[1])
		}
	})
}

func TestF7_ADetachedFunctionGoesOnWhenItsCallerHasGone(t *testing.T) {
	c := &cloud{}
	bubble(t, c, func(c *Config) { c.Max = 1 }, func(t *testing.T, p *Pool) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		detached := message("for 10s")
		detached.Detached = true
		late := new(TimeoutError)
		if err := p.Do(ctx, detached); !errors.As(err, &late) || !late.Started {
			t.Errorf("%s", causes(err))
		}
		if s := p.Stats(); s.Running != 1 {
			t.Errorf("it has left its slot: %+v", s)
		}
		cs := new(calls).make(t.Context(), p, 0, "echo").succeed(t)
		if cs.last() != 9*time.Second {
			t.Errorf("its function was over after another %v", cs.last())
		}
	})
}

func TestCancelEndsADetachedCallToo(t *testing.T) {
	bubble(t, &cloud{}, nil, func(t *testing.T, p *Pool) {
		why := errors.New("it is not wanted any more")
		c := message("forever")
		c.Detached = true
		var outcome error
		c.Ended = func(c *Call) { outcome = c.Err }
		p.Cancel(message("echo"), why) // was never taken in
		if err := p.Start(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		p.Cancel(c, why)
		p.Cancel(c, errors.New("again"))
		synctest.Wait()
		if s := p.Stats(); !errors.Is(outcome, why) || s.Running != 0 {
			t.Errorf("%v; %+v", outcome, s)
		}
	})
}

func TestRunnersThatTakeNoCallAreBootedLaterAndLater(t *testing.T) {
	// Given runners that join, are given a call, and die before it is sent: it is moved each time.
	s := newState(rules{max: 2, slots: 1, jitter: func() float64 { return 0 }}, func() string { return "r" })
	now, boots := time.Duration(1), 0
	s.arrive(new(Call), now)
	for now < time.Minute {
		for _, a := range append([]action(nil), s.take()...) {
			switch a.kind {
			case boot:
				boots++
				s.up(a.r, now)
			case grant:
				s.died(a.r, now)
				s.again(a.c, now)
				s.ended(a.r, nil, now)
			}
		}
		if len(s.actions) > 0 {
			continue
		}
		at, ok := s.due()
		if !ok {
			t.Fatal("the call waits for ever")
		}
		now = at
		s.tick(now)
	}
	if boots < 8 || boots > 20 {
		t.Errorf("%d boots in a minute", boots)
	}
}

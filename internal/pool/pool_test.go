package pool

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestF3_BurstBootsWhatCoversTheLineAndNoMore(t *testing.T) {
	for _, test := range []struct{ calls, slots, max, want int }{
		{1, 1, 10, 1}, {7, 3, 10, 3}, {9, 3, 10, 3}, {10, 3, 10, 4}, {50, 4, 5, 5},
	} {
		c := &cloud{bootFor: time.Second}
		bubble(t, c, func(c *Config) { c.Max, c.MaxConcurrency = test.max, test.slots }, func(t *testing.T, p *Pool) {
			new(calls).make(t.Context(), p, 0, times(test.calls, "for 1s")...).succeed(t)
			if n := c.booted(); n != test.want {
				t.Errorf("%d calls booted %d runners of %d slots, want %d", test.calls, n, test.slots, test.want)
			}
		})
	}
}

func TestF3_FirstComeFirstServed(t *testing.T) {
	c := &cloud{bootFor: time.Second}
	bubble(t, c, func(c *Config) { c.Max = 1 }, func(t *testing.T, p *Pool) {
		cs := new(calls).make(t.Context(), p, 0, times(9, "for 1s")...).succeed(t)
		if !slices.IsSorted(cs.over) {
			t.Errorf("they ended in this order: %v", cs.over)
		}
	})
}

func TestF3_TheLeastLoadedRunnerIsTaken(t *testing.T) {
	c := &cloud{}
	bubble(t, c, func(c *Config) { c.Min, c.MaxConcurrency = 3, 2 }, func(t *testing.T, p *Pool) {
		cs := new(calls).make(t.Context(), p, 0, times(6, "for 1s")...).succeed(t)
		for i := range 3 {
			if cs.all[i].Runner == cs.all[(i+1)%3].Runner || cs.all[3+i].Runner == cs.all[3+(i+1)%3].Runner {
				t.Fatalf("calls %d and the next one were on one runner while others were free", i)
			}
		}
	})
}

func TestF4_TwoFirstCallsShareOneRunner(t *testing.T) {
	c := &cloud{bootFor: time.Second}
	bubble(t, c, func(c *Config) { c.MaxConcurrency = 2 }, func(t *testing.T, p *Pool) {
		cs := new(calls).make(t.Context(), p, 0, "for 1s", "for 1s").succeed(t)
		if c.booted() != 1 || cs.last() != 2*time.Second {
			t.Errorf("%d boots, %v", c.booted(), cs.last())
		}
	})
}

func TestF2_OpenBootsMinTenAtATime(t *testing.T) {
	c := &cloud{bootFor: time.Second}
	synctest.Test(t, func(t *testing.T) {
		config := c.config()
		config.Min, config.Max = 25, 25
		begun := time.Now()
		p, err := Open(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if took := time.Since(begun); took != 3*time.Second || len(c.alive()) != 25 {
			t.Errorf("%d runners after %v", len(c.alive()), took)
		}
	})
}

func TestF2_OpenFailsWithTheCauseAndStopsTheOthers(t *testing.T) {
	no := errors.New("no machine")
	c := &cloud{bootFor: time.Second, refuse: func(n int) error {
		if n == 2 {
			return no
		}
		return nil
	}}
	for range 30 { // the failure comes at the same instant as the successes, in any order
		c.machines = nil
		synctest.Test(t, func(t *testing.T) {
			config := c.config()
			config.Min = 4
			p, err := Open(t.Context(), config)
			if boot := new(BootError); !errors.As(err, &boot) || !errors.Is(err, no) {
				p.Close()
				t.Fatalf("%s", causes(err))
			}
			if n := len(c.alive()); n != 0 {
				t.Errorf("%d runners are left", n)
			}
		})
	}
}

func TestF2_OpenDoesNotFailForRunnersBeyondMin(t *testing.T) {
	no := errors.New("no machine")
	c := &cloud{refuse: func(int) error { return no }}
	bubble(t, c, func(config *Config) { config.Headroom = 1 }, func(t *testing.T, p *Pool) {
		synctest.Wait() // a boot may fail before Open has looked
		if err := p.fill(t.Context()); err != nil || p.Stats().BootsFailed == 0 {
			t.Errorf("%v, %d boots have failed", err, p.Stats().BootsFailed)
		}
	})
}

func TestF2_OpenEndsWithItsContext(t *testing.T) {
	c := &cloud{bootFor: time.Minute}
	synctest.Test(t, func(t *testing.T) {
		config := c.config()
		config.Min = 1
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := Open(ctx, config)
		if !errors.Is(err, context.DeadlineExceeded) || len(c.alive()) != 0 {
			t.Errorf("%s, %d runners are left", causes(err), len(c.alive()))
		}
	})
}

func TestF5_IdleRunnersLeaveDownToMin(t *testing.T) {
	for least := range 3 {
		c := &cloud{}
		change := func(c *Config) { c.Min, c.IdleShutdownAfter = least, time.Minute }
		bubble(t, c, change, func(t *testing.T, p *Pool) {
			new(calls).make(t.Context(), p, 0, times(5, "for 1s")...).succeed(t)
			time.Sleep(59 * time.Second)
			synctest.Wait()
			if n := len(c.alive()); n != 5 {
				t.Errorf("%d runners after 59s", n)
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if n := len(c.alive()); n != least {
				t.Errorf("%d runners after a minute, min is %d", n, least)
			}
			new(calls).make(t.Context(), p, 0, "echo", "echo").succeed(t)
		})
	}
}

func TestF5_BusyRunnersStay(t *testing.T) {
	c := &cloud{}
	bubble(t, c, func(c *Config) { c.IdleShutdownAfter = time.Minute }, func(t *testing.T, p *Pool) {
		new(calls).make(t.Context(), p, 0, "for 1h").succeed(t)
		for range 10 {
			time.Sleep(59 * time.Second)
			new(calls).make(t.Context(), p, 0, "echo").succeed(t)
		}
		if n := c.booted(); n != 1 {
			t.Errorf("%d boots", n)
		}
	})
}

func TestB05_IdleDownLosesNoCall(t *testing.T) {
	c := &cloud{}
	bubble(t, c, func(c *Config) { c.IdleShutdownAfter = time.Second }, func(t *testing.T, p *Pool) {
		for range 200 { // each comes at the instant in which its runner may leave
			new(calls).make(t.Context(), p, 0, "echo", "echo").succeed(t)
			time.Sleep(time.Second)
		}
	})
}

func TestF6_OneDeadlineOverQueueBootAndRun(t *testing.T) {
	// Given one slot, a boot of 1 s and a call of 2 s before it, a call of 4 s has no time in 5 s.
	c := &cloud{bootFor: time.Second}
	bubble(t, c, func(c *Config) { c.Max = 1 }, func(t *testing.T, p *Pool) {
		cs := new(calls).make(t.Context(), p, 0, "for 2s").make(t.Context(), p, 5*time.Second, "for 4s").wait()
		late := new(TimeoutError)
		if !errors.As(cs.all[1].Err, &late) || !errors.Is(late, context.DeadlineExceeded) {
			t.Fatal(causes(cs.all[1].Err))
		}
		if cs.took[1] != 5*time.Second || late.Booting != time.Second || late.Queued != 2*time.Second ||
			late.Running != 2*time.Second || !late.Started {
			t.Errorf("after %v: %+v", cs.took[1], late)
		}
	})
}

func TestB06_TheEarlierOfTwoDeadlinesCounts(t *testing.T) {
	bubble(t, &cloud{}, nil, func(t *testing.T, p *Pool) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		cs := new(calls).make(ctx, p, time.Minute, "forever", "forever").wait()
		cs.make(t.Context(), p, time.Second, "forever", "forever").wait()
		for i, c := range cs.all {
			if !errors.Is(c.Err, context.DeadlineExceeded) || cs.took[i] != time.Second {
				t.Errorf("call %d after %v: %s", i, cs.took[i], causes(c.Err))
			}
		}
	})
}

func TestB08_SlotIsHeldUntilTheFunctionIsOver(t *testing.T) {
	c := &cloud{}
	bubble(t, c, func(c *Config) { c.Max = 1 }, func(t *testing.T, p *Pool) {
		cs := new(calls).make(t.Context(), p, time.Second, "stubborn 10s", "stubborn 10s")
		cs.make(t.Context(), p, 0, "echo", "echo").wait()
		if cs.took[0] != time.Second || cs.took[1] != time.Second {
			t.Errorf("whose time is over returned after %v and %v", cs.took[0], cs.took[1])
		}
		if cs.took[2] != 10*time.Second {
			t.Errorf("the next one had the slot after %v", cs.took[2])
		}
	})
}

func TestCancelWhileInLine(t *testing.T) {
	c := &cloud{}
	bubble(t, c, func(c *Config) { c.Max = 1 }, func(t *testing.T, p *Pool) {
		why := errors.New("changed my mind")
		ctx, cancel := context.WithCancelCause(t.Context())
		cs := new(calls).make(t.Context(), p, 0, "for 10s").make(ctx, p, 0, "for 10s", "for 10s")
		time.Sleep(time.Second)
		cancel(why)
		cs.make(t.Context(), p, 0, "echo").wait()
		for _, i := range []int{1, 2} {
			late := new(TimeoutError)
			if !errors.As(cs.all[i].Err, &late) || !errors.Is(late, why) || late.Started || late.Queued != time.Second {
				t.Errorf("call %d: %s", i, causes(cs.all[i].Err))
			}
		}
		if c.begun != 2 || cs.took[3] != 9*time.Second {
			t.Errorf("%d functions ran; the last one after %v", c.begun, cs.took[3])
		}
	})
}

func TestCancelWhileRunningEndsTheFunction(t *testing.T) {
	c := &cloud{}
	bubble(t, c, func(c *Config) { c.Max = 2 }, func(t *testing.T, p *Pool) {
		ctx, cancel := context.WithCancel(t.Context())
		cs := new(calls).make(ctx, p, 0, "forever", "forever")
		cancel()
		cs.make(t.Context(), p, 0, "echo", "echo").wait()
		for i := range 2 {
			late := new(TimeoutError)
			if !errors.As(cs.all[i].Err, &late) || !errors.Is(late, context.Canceled) || !late.Started {
				t.Errorf("call %d: %s", i, causes(cs.all[i].Err))
			}
		}
		if cs.all[2].Err != nil || cs.last() != 0 {
			t.Errorf("the slots were free after %v: %v", cs.last(), cs.all[2].Err)
		}
	})
}

func TestCancelBetweenSlotAndSending(t *testing.T) {
	c := &cloud{}
	bubble(t, c, nil, func(t *testing.T, p *Pool) {
		ctx, cancel := context.WithCancel(t.Context())
		call := message("echo")
		encode := call.Encode
		call.Encode = func() ([][]byte, error) {
			cancel()
			synctest.Wait()
			return encode()
		}
		if err := p.Do(ctx, call); !errors.Is(err, context.Canceled) {
			t.Error(causes(err))
		}
		if late := new(TimeoutError); errors.As(call.Err, &late) && late.Started {
			t.Error("it is said to have started")
		}
		new(calls).make(t.Context(), p, 0, "echo").succeed(t)
		if c.begun != 1 || c.booted() != 1 {
			t.Errorf("%d functions ran on %d runners", c.begun, c.booted())
		}
	})
}

func TestWhatCannotBeSentFreesItsSlot(t *testing.T) {
	bubble(t, &cloud{}, func(c *Config) { c.Max = 1 }, func(t *testing.T, p *Pool) {
		cs := new(calls).make(t.Context(), p, 0, "unsendable", "unsendable", "echo", "echo").wait()
		for i, want := range []error{errUnsendable, errUnsendable, nil, nil} {
			if !errors.Is(cs.all[i].Err, want) {
				t.Errorf("call %d: %s", i, causes(cs.all[i].Err))
			}
		}
	})
}

func TestStartWithAContextThatHasEnded(t *testing.T) {
	c := &cloud{}
	bubble(t, c, nil, func(t *testing.T, p *Pool) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		cs := new(calls).make(ctx, p, 0, "echo", "echo").wait()
		for i, call := range cs.all {
			if !errors.Is(call.Err, context.Canceled) {
				t.Errorf("call %d: %s", i, causes(call.Err))
			}
		}
		if c.booted() != 0 {
			t.Errorf("%d boots", c.booted())
		}
	})
}

func TestDetachedCallOutlivesItsContext(t *testing.T) {
	bubble(t, &cloud{}, nil, func(t *testing.T, p *Pool) {
		ctx, cancel := context.WithCancel(t.Context())
		call, ended := message("for 1s"), make(chan struct{})
		call.Detached, call.Ended = true, func(*Call) { close(ended) }
		if err := p.Start(ctx, call); err != nil {
			t.Fatal(err)
		}
		cancel()
		if <-ended; call.Err != nil {
			t.Error(call.Err)
		}
	})
}

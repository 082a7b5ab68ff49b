package pool

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/internal/session"
)

func TestB01_OnlyTheCallsOfALostRunnerFail(t *testing.T) {
	c := &cloud{}
	bubble(t, c, func(c *Config) { c.Max = 2 }, func(t *testing.T, p *Pool) {
		cs := new(calls).make(t.Context(), p, 0, "for 10s", "for 10s", "for 1s", "for 1s")
		c.machines[0].die(&backend.ExitError{Code: -1, Signal: syscall.SIGKILL})
		cs.wait()
		for i, call := range cs.all {
			lost := new(LostError)
			if isLost := errors.As(call.Err, &lost); isLost != (i == 0) || isLost && !lost.Started {
				t.Errorf("call %d: %s", i, causes(call.Err))
			}
		}
	})
}

func TestB02_RunnerDiesWhileOthersWait(t *testing.T) {
	c := &cloud{bootFor: time.Second}
	bubble(t, c, func(c *Config) { c.Max = 1 }, func(t *testing.T, p *Pool) {
		cs := new(calls).make(t.Context(), p, 20*time.Second, "for 1h", "for 1s", "for 1s")
		time.Sleep(2 * time.Second)
		c.machines[0].die(errors.New("crash"))
		cs.wait()
		if cs.all[1].Err != nil || cs.all[2].Err != nil || cs.took[1] > 5*time.Second {
			t.Errorf("after %v: %v; %v", cs.took[1], cs.all[1].Err, cs.all[2].Err)
		}
	})
}

func TestB02_MinIsRestored(t *testing.T) {
	c := &cloud{bootFor: time.Second}
	bubble(t, c, func(c *Config) { c.Min, c.Max = 2, 2 }, func(t *testing.T, p *Pool) {
		for range 5 {
			c.alive()[0].die(nil)
			time.Sleep(3 * time.Second)
			if n := len(c.alive()); n != 2 {
				t.Fatalf("%d runners", n)
			}
		}
	})
}

func TestB03_OneFailedBootOfABurst(t *testing.T) {
	c := &cloud{bootFor: time.Second, refuse: func(n int) error {
		if n == 3 {
			return errors.New("no machine")
		}
		return nil
	}}
	bubble(t, c, nil, func(t *testing.T, p *Pool) {
		cs := new(calls).make(t.Context(), p, 0, times(10, "for 10s")...).succeed(t)
		if n := len(c.alive()); n != 10 || cs.last() > 13*time.Second {
			t.Errorf("%d runners, all was over after %v", n, cs.last())
		}
	})
}

func TestB03_WhoWaitsLearnsWhyNothingBoots(t *testing.T) {
	no := errors.New("no machine")
	c := &cloud{refuse: func(n int) error {
		if n < 6 {
			return no
		}
		return nil
	}}
	bubble(t, c, nil, func(t *testing.T, p *Pool) {
		cs := new(calls).make(t.Context(), p, 30*time.Second, "echo", "echo").wait()
		for i, call := range cs.all {
			boot := new(BootError)
			if !errors.As(call.Err, &boot) || !errors.Is(boot, no) || boot.Attempts < 3 || cs.took[i] > time.Second {
				t.Errorf("call %d after %v: %s", i, cs.took[i], causes(call.Err))
			}
		}
		time.Sleep(time.Minute)
		new(calls).make(t.Context(), p, 0, "echo").wait()
		time.Sleep(time.Minute)
		new(calls).make(t.Context(), p, 0, "echo").wait()
		time.Sleep(time.Minute)
		new(calls).make(t.Context(), p, 0, "echo").wait()
		time.Sleep(time.Minute)
		new(calls).make(t.Context(), p, 0, "echo").succeed(t)
	})
}

func TestB09_ATimeoutNamesTheFailedBoot(t *testing.T) {
	no := errors.New("no machine")
	c := &cloud{bootFor: 2 * time.Second, refuse: func(int) error { return no }}
	bubble(t, c, nil, func(t *testing.T, p *Pool) {
		cs := new(calls).make(t.Context(), p, 3*time.Second, "echo").wait()
		late := new(TimeoutError)
		if !errors.As(cs.all[0].Err, &late) || !errors.Is(late.Boot, no) || late.Booting != 3*time.Second || late.Started {
			t.Errorf("%+v", cs.all[0].Err)
		}
	})
}

func TestB06_ALossAtTheDeadlineIsToldByThen(t *testing.T) {
	c := &cloud{lingers: true}
	bubble(t, c, nil, func(t *testing.T, p *Pool) {
		cs := new(calls).make(t.Context(), p, 3*time.Second, "stubborn 1h")
		time.Sleep(2900 * time.Millisecond)
		c.alive()[0].parent.Close() // how it was lost would be known later
		cs.wait()
		if lost := new(LostError); !errors.As(cs.all[0].Err, &lost) || !lost.Started || cs.took[0] != 3*time.Second {
			t.Errorf("after %v: %v", cs.took[0], cs.all[0].Err)
		}
	})
}

func TestB09_CausesAreToldApart(t *testing.T) {
	exit := func(e backend.ExitError) func(*machine) { return func(m *machine) { m.die(&e) } }
	for name, test := range map[string]struct {
		happens func(*machine)
		is      func(*backend.ExitError) bool // nil: there is none
	}{
		"signal":     {exit(backend.ExitError{Code: -1, Signal: syscall.SIGKILL}), func(e *backend.ExitError) bool { return e.Signal == syscall.SIGKILL }},
		"memory":     {exit(backend.ExitError{Code: 137, OOM: true}), func(e *backend.ExitError) bool { return e.OOM }},
		"exit code":  {exit(backend.ExitError{Code: 3}), func(e *backend.ExitError) bool { return e.Code == 3 }},
		"os.Exit(0)": {func(m *machine) { m.die(nil) }, func(e *backend.ExitError) bool { return e.Code == 0 && e.Signal == nil }},
		"connection": {func(m *machine) { m.parent.Close() }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			c := &cloud{lingers: test.is == nil}
			bubble(t, c, nil, func(t *testing.T, p *Pool) {
				cs := new(calls).make(t.Context(), p, 0, "stubborn 1h", "stubborn 1h")
				for _, m := range c.alive() {
					test.happens(m)
				}
				cs.wait()
				for i, call := range cs.all {
					lost, how := new(LostError), new(backend.ExitError)
					if !errors.As(call.Err, &lost) || !lost.Started || string(lost.Output) != "last words" || cs.took[i] >= time.Second {
						t.Fatalf("call %d after %v: %s", i, cs.took[i], causes(call.Err))
					}
					if exited := errors.As(lost, &how); exited != (test.is != nil) || exited && !test.is(how) {
						t.Errorf("call %d: %s", i, causes(lost.Cause))
					}
				}
			})
		})
	}
}

func TestB11_WhatDoesNotJoinIsStopped(t *testing.T) {
	c := &cloud{silent: func(n int) bool { return n == 0 }}
	bubble(t, c, func(c *Config) { c.BootTimeout = time.Second }, func(t *testing.T, p *Pool) {
		cs := new(calls).make(t.Context(), p, 0, "echo").succeed(t)
		if !c.machines[0].stopped || len(c.alive()) != 1 || cs.last() > 2*time.Second {
			t.Errorf("stopped: %v, %d alive, after %v", c.machines[0].stopped, len(c.alive()), cs.last())
		}
	})
}

func TestB11_ABootThatEndsAfterCloseIsStopped(t *testing.T) {
	c := &cloud{bootFor: 5 * time.Second, stubborn: true}
	bubble(t, c, nil, func(t *testing.T, p *Pool) {
		cs := new(calls).make(t.Context(), p, 0, "echo", "echo")
		begun := time.Now()
		p.Close()
		if took := time.Since(begun); took > 6*time.Second || len(c.alive()) != 0 || c.booted() != 2 {
			t.Errorf("after %v %d of %d are alive", took, len(c.alive()), c.booted())
		}
		for i, call := range cs.wait().all {
			if !errors.Is(call.Err, ErrClosed) || cs.took[i] != 0 {
				t.Errorf("call %d after %v: %s", i, cs.took[i], causes(call.Err))
			}
		}
	})
}

// TestN06_ACallThatDidNotStartIsMoved loses the runner between the moment in which a call has a slot and that in
// which it is sent, twice.
func TestN06_ACallThatDidNotStartIsMoved(t *testing.T) {
	for name, do := range map[string]func(*Pool, *Call){
		"Do": func(p *Pool, c *Call) { p.Do(context.Background(), c) },
		"Start": func(p *Pool, c *Call) {
			ended := make(chan struct{})
			c.Ended = func(*Call) { close(ended) }
			p.Start(context.Background(), c)
			<-ended
		},
	} {
		t.Run(name, func(t *testing.T) {
			var newest *session.Session
			c := &cloud{joined: func(s *session.Session, _ error) { newest = s }}
			bubble(t, c, func(c *Config) { c.Max = 1 }, func(t *testing.T, p *Pool) {
				call, tries := message("echo"), 0
				encode := call.Encode
				call.Encode = func() ([][]byte, error) {
					if tries++; tries <= 2 {
						c.alive()[0].die(errors.New("crash"))
						<-newest.Done()
					}
					return encode()
				}
				do(p, call)
				if call.Err != nil || string(call.Reply) != "echo" || c.begun != 1 || c.booted() != 3 || call.Runner != c.machines[2].id {
					t.Errorf("%q, %s, %d functions ran, %d boots", call.Reply, causes(call.Err), c.begun, c.booted())
				}
			})
		})
	}
}

func TestShutdownWaitsForWhatRunsAndWaits(t *testing.T) {
	c := &cloud{bootFor: time.Second}
	bubble(t, c, func(c *Config) { c.Min, c.Max = 1, 2 }, func(t *testing.T, p *Pool) {
		cs := new(calls).make(t.Context(), p, 0, times(6, "for 10s")...)
		begun, down := time.Now(), make(chan error)
		cs.wg.Go(func() { down <- p.Shutdown(t.Context()) })
		synctest.Wait()
		for i, late := range new(calls).make(t.Context(), p, 0, "echo", "echo").wait().all {
			if !errors.Is(late.Err, ErrClosed) {
				t.Errorf("late call %d: %s", i, causes(late.Err))
			}
		}
		err, took := <-down, time.Since(begun)
		if err != nil || took < 30*time.Second || took > 32*time.Second || len(c.alive()) != 0 {
			t.Errorf("after %v %v, %d alive", took, err, len(c.alive()))
		}
		cs.succeed(t)
	})
}

func TestShutdownDoesNotWaitForABootThatNobodyNeeds(t *testing.T) {
	c := &cloud{bootFor: time.Minute}
	bubble(t, c, nil, func(t *testing.T, p *Pool) {
		new(calls).make(t.Context(), p, time.Second, "echo", "echo").wait()
		begun := time.Now()
		if err := p.Shutdown(t.Context()); err != nil || time.Since(begun) > time.Second || c.booted() != 2 {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
	})
}

func TestShutdownIsCutByItsContext(t *testing.T) {
	c := &cloud{}
	bubble(t, c, func(c *Config) { c.Max = 1 }, func(t *testing.T, p *Pool) {
		cs := new(calls).make(t.Context(), p, 0, "for 1h", "for 1h", "for 1h")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begun := time.Now()
		err := p.Shutdown(ctx)
		if took := time.Since(begun); !errors.Is(err, context.DeadlineExceeded) || took > 61*time.Second || len(c.alive()) != 0 {
			t.Errorf("after %v %v, %d alive", took, err, len(c.alive()))
		}
		cs.wait()
		if lost := new(LostError); !errors.As(cs.all[0].Err, &lost) || !errors.Is(cs.all[1].Err, ErrClosed) || !errors.Is(cs.all[2].Err, ErrClosed) {
			t.Errorf("%s; %s; %s", causes(cs.all[0].Err), causes(cs.all[1].Err), causes(cs.all[2].Err))
		}
	})
}

func TestCloseTwiceAndTogether(t *testing.T) {
	c := &cloud{}
	bubble(t, c, func(c *Config) { c.Min = 2 }, func(t *testing.T, p *Pool) {
		cs := new(calls).make(t.Context(), p, 0, "forever", "stubborn 1h")
		for range 3 {
			cs.wg.Go(func() { p.Close() })
			cs.wg.Go(func() { p.Shutdown(t.Context()) })
		}
		cs.wait()
		for i, call := range cs.all {
			if lost := new(LostError); !errors.As(call.Err, &lost) || cs.took[i] >= time.Second {
				t.Errorf("call %d after %v: %s", i, cs.took[i], causes(call.Err))
			}
		}
		p.Close()
		p.Shutdown(t.Context())
	})
}

// faraway is a cloud whose machines' connections come from elsewhere.
type faraway struct{ *cloud }

// far is one of its machines.
type far struct{ backend.Instance }

func (f faraway) Boot(ctx context.Context, spec backend.Spec) (backend.Instance, error) {
	i, err := f.cloud.Boot(ctx, spec)
	return far{i}, err
}

func TestN14_AnEngineMayTakeAMomentToSayHowARunnerDied(t *testing.T) {
	c := &cloud{lingers: true}
	bubble(t, c, func(config *Config) {
		join := config.Join
		config.Backend = faraway{c}
		config.Join = func(ctx context.Context, id string, inst backend.Instance) (*session.Session, error) {
			return join(ctx, id, inst.(far).Instance)
		}
	}, func(t *testing.T, p *Pool) {
		cs := new(calls).make(t.Context(), p, 0, "for 1h")
		time.Sleep(time.Second)
		m := c.machines[0]
		m.runner.Close()
		time.Sleep(2 * time.Second)
		m.die(&backend.ExitError{Code: -1, OOM: true})
		cs.wait()
		if how := new(backend.ExitError); !errors.As(cs.all[0].Err, &how) || !how.OOM {
			t.Errorf("got %s", causes(cs.all[0].Err))
		}
	})
}

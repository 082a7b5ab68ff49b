package pool

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetinglambda/flame/backend"
)

func TestB05_TenThousandCallsComeAsRunnersIdleOut(t *testing.T) {
	c := &cloud{bootFor: 3 * time.Millisecond}
	change := func(c *Config) { c.Max, c.MaxConcurrency, c.IdleShutdownAfter = 20, 2, 5*time.Millisecond }
	bubble(t, c, change, func(t *testing.T, p *Pool) {
		var failed atomic.Int64
		for round := range 500 { // each comes just before, at or after the instant in which the runners leave
			var callers sync.WaitGroup
			for range 20 {
				callers.Go(func() {
					if err := p.Do(t.Context(), message("for 1ms")); err != nil {
						failed.Add(1)
						t.Errorf("%s", causes(err))
					}
				})
			}
			callers.Wait()
			time.Sleep(5*time.Millisecond + time.Duration(round%3-1))
		}
		if n := c.booted(); failed.Load() > 0 || n < 1000 {
			t.Errorf("%d of 10,000 calls are lost; %d boots", failed.Load(), n)
		}
	})
}

func TestB04_AThousandCallsOnRunnersThatServeOne(t *testing.T) {
	c := &cloud{bootFor: 50 * time.Millisecond}
	change := func(c *Config) { c.Max, c.SingleUse, c.MaxConcurrency = 10, true, 100 }
	bubble(t, c, change, func(t *testing.T, p *Pool) {
		var callers sync.WaitGroup
		for i := range 1000 {
			callers.Go(func() {
				if err := p.Do(t.Context(), message(fmt.Sprint("for 10ms ", i))); err != nil {
					t.Errorf("call %d: %s", i, causes(err))
				}
			})
		}
		callers.Wait()
		if n := c.booted(); n < 1000 || n > 1010 || len(c.ran) != 1000 {
			t.Errorf("%d boots for 1,000 calls, of which %d ran", n, len(c.ran))
		}
		for _, m := range c.machines {
			if m.begun > 1 {
				t.Errorf("a runner had %d calls", m.begun)
			}
		}
	})
}

func TestB01_ARunnerIsKilledEvery300ms(t *testing.T) {
	c := &cloud{bootFor: 20 * time.Millisecond}
	change := func(c *Config) { c.Min, c.Max, c.MaxConcurrency = 4, 4, 8 }
	bubble(t, c, change, func(t *testing.T, p *Pool) {
		var callers, killer sync.WaitGroup
		var ok, lost, killed atomic.Int64
		stop := make(chan struct{})
		killer.Go(func() {
			for r := rand.New(rand.NewPCG(1, 1)); ; {
				select {
				case <-stop:
					return
				case <-time.After(300 * time.Millisecond):
				}
				up := c.alive() // booting ones, too
				up[r.IntN(len(up))].die(&backend.ExitError{Code: -1, Signal: syscall.SIGKILL})
				killed.Add(1)
			}
		})
		for i := range 64 {
			callers.Go(func() {
				for n := range 200 {
					outcomeOf(t, p, fmt.Sprintf("for 30ms %d.%d", i, n), &ok, &lost)
				}
			})
		}
		callers.Wait()
		close(stop)
		killer.Wait()
		if n := ok.Load() + lost.Load(); n != 64*200 || lost.Load() > 8*killed.Load() || lost.Load() == 0 {
			t.Errorf("%d outcomes of 12,800; %d lost by %d deaths of runners with 8 slots", n, lost.Load(), killed.Load())
		}
		for what, n := range c.ran {
			if n > 1 {
				t.Errorf("%q ran %d times", what, n)
			}
		}
		time.Sleep(10 * time.Second)
		if n := len(c.alive()); n != 4 {
			t.Errorf("%d runners, min is 4", n)
		}
		synctest.Wait()
		t.Logf("%d ok, %d lost by %d kills", ok.Load(), lost.Load(), killed.Load())
	})
}

// outcomeOf makes a call and counts how it ended. It may only end in one of two ways.
func outcomeOf(t *testing.T, p *Pool, what string, ok, lost *atomic.Int64) {
	var gone *LostError
	switch err := p.Do(t.Context(), message(what)); {
	case err == nil:
		ok.Add(1)
	case errors.As(err, &gone) && gone.Started:
		lost.Add(1)
	default:
		t.Errorf("%q: %s", what, causes(err))
	}
}

func TestB02_MinIsRestoredAlthoughRunnersDieWhileTheyBoot(t *testing.T) {
	c := &cloud{bootFor: time.Second}
	bubble(t, c, func(c *Config) { c.Min, c.Max = 3, 3 }, func(t *testing.T, p *Pool) {
		for range 100 { // for ten seconds nothing gets up
			for _, m := range c.alive() {
				m.die(&backend.ExitError{Code: -1, Signal: syscall.SIGKILL})
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n := c.booted(); n > 40 {
			t.Errorf("%d boots in ten seconds of which none is of use", n)
		}
		time.Sleep(20 * time.Second)
		if s := p.Stats(); s.Ready != 3 {
			t.Errorf("min is 3: %+v", s)
		}
	})
}

package pool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// life is a pool to which random things happen.
type life struct {
	*testing.T
	*rand.Rand
	cloud   *cloud
	pool    *Pool
	slots   int
	retries int
	wg      sync.WaitGroup // calls of Do
	cancels []context.CancelFunc

	mu       sync.Mutex // guards what follows
	outcomes map[string][]error
}

// TestAnyLifeGivesEveryCallOneTrueOutcome: whatever is cancelled, killed, does not boot or is closed, every call has one
// outcome, what it says of the function is true, and no slot is left behind.
func TestAnyLifeGivesEveryCallOneTrueOutcome(t *testing.T) {
	for seed := range uint64(500) {
		l := &life{Rand: rand.New(rand.NewPCG(seed, 0)), outcomes: make(map[string][]error)}
		l.slots = 1 + l.IntN(3)
		l.cloud = &cloud{bootFor: time.Duration(l.IntN(3)) * 20 * time.Millisecond, refuse: func(n int) error {
			if n%5 == 4 {
				return errors.New("out of luck")
			}
			return nil
		}}
		change := func(c *Config) {
			c.Min, c.MaxConcurrency = l.IntN(3), l.slots
			c.Max = max(1, c.Min) + l.IntN(3)
			c.IdleShutdownAfter = []time.Duration{-1, 0, 50 * time.Millisecond}[l.IntN(3)]
			c.KillGrace = []time.Duration{0, 30 * time.Millisecond}[l.IntN(2)]
			c.SingleUse, c.Headroom = l.IntN(8) == 0, l.IntN(6)/4
			c.MaxQueue, c.MaxRunnerAge = 5*l.IntN(3), time.Duration(l.IntN(2)*300)*time.Millisecond
			l.retries = l.IntN(2)
		}
		bubble(t, l.cloud, change, func(t *testing.T, p *Pool) {
			l.T, l.pool = t, p
			for range 60 {
				l.step()
			}
			l.finish()
			if l.check(); t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		})
	}
}

func (l *life) step() {
	switch l.IntN(8) {
	case 0, 1, 2, 3:
		l.call()
	case 4:
		if n := len(l.cancels); n > 0 {
			l.cancels[l.IntN(n)]()
		}
	case 5:
		if up := l.cloud.alive(); l.IntN(3) == 0 && len(up) > 0 {
			up[l.IntN(len(up))].die(errors.New("crash"))
		}
	case 6:
		time.Sleep(time.Duration(l.IntN(5)) * 20 * time.Millisecond)
	case 7:
		if synctest.Wait(); l.IntN(8) == 0 {
			l.pool.Resize(0, 1+l.IntN(l.pool.config.Max))
		}
	}
	for _, r := range l.pool.Stats().Runners {
		if r.Running > l.slots {
			l.Fatalf("%d calls on a runner of %d slots", r.Running, l.slots)
		}
	}
}

// call begins a call of any kind.
func (l *life) call() {
	ctx, cancel := context.WithCancel(l.Context())
	l.cancels = append(l.cancels, cancel)
	what := fmt.Sprintf("%s %d", []string{"echo", "for 20ms", "for 60ms", "forever", "stubborn 90ms"}[l.IntN(5)], len(l.cancels))
	l.mu.Lock()
	l.outcomes[what] = nil
	l.mu.Unlock()
	c := message(what)
	c.Timeout = time.Duration(l.IntN(4)) * 50 * time.Millisecond
	c.Retry, c.Priority, c.Detached, c.UntilSlot = l.retries, l.IntN(2), l.IntN(8) == 0, l.IntN(8) == 0
	if strings.HasPrefix(what, "forever") { // else it does not end
		c.Detached, c.UntilSlot = false, false
	}
	if l.IntN(2) == 0 {
		l.wg.Go(func() { l.ended(what, l.pool.Do(ctx, c)) })
		return
	}
	c.Ended = func(c *Call) { l.ended(what, c.Err) }
	if err := l.pool.Start(ctx, c); err != nil {
		l.ended(what, err)
	}
}

func (l *life) ended(what string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outcomes[what] = append(l.outcomes[what], err)
}

// finish ends all calls and the pool in one of the ways.
func (l *life) finish() {
	way := l.IntN(3)
	if way > 0 {
		l.cancelAll()
	}
	if way > 1 {
		l.wg.Go(func() { l.pool.Shutdown(l.Context()) })
	}
	if way == 1 {
		time.Sleep(10 * time.Second) // at its deadline a function ends by the clock of its runner
		synctest.Wait()
		if s := l.pool.Stats(); s.Waiting != 0 || s.Running != 0 {
			l.Errorf("every call has ended: %+v", s)
		}
	}
	l.pool.Close()
	l.cancelAll()
	l.wg.Wait()
	synctest.Wait()
}

func (l *life) cancelAll() {
	for _, cancel := range l.cancels {
		cancel()
	}
}

func (l *life) check() {
	for what, errs := range l.outcomes {
		switch ran := l.cloud.ran[what]; {
		case len(errs) != 1:
			l.Errorf("%q has the outcomes %v", what, errs)
		case ran > 1+l.retries:
			l.Errorf("%q ran %d times", what, ran)
		case errs[0] == nil && ran == 0:
			l.Errorf("%q was answered and did not run", what)
		case didNotRun(errs[0]) && ran > 0:
			l.Errorf("%q ran, and is said not to have: %s", what, causes(errs[0]))
		}
	}
	if s := l.pool.Stats(); s.Booting+s.Ready+s.Draining+s.Running+s.Waiting+len(s.Runners) != 0 {
		l.Errorf("after Close: %+v", s)
	}
}

// didNotRun says whether an outcome promises that the function did not run.
func didNotRun(err error) bool {
	var late *TimeoutError
	var boot *BootError
	var lost *LostError
	switch {
	case errors.Is(err, ErrClosed), errors.Is(err, ErrQueueFull), errors.As(err, &boot):
		return true
	case errors.As(err, &late):
		return !late.Started
	case errors.As(err, &lost):
		return !lost.Started
	}
	return false
}

package pool

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestStormLeavesNothing has callers, crashes and the end of the pool meet at the same instants, many times.
func TestStormLeavesNothing(t *testing.T) {
	rounds := 150
	if testing.Short() {
		rounds = 20
	}
	for seed := range uint64(rounds) {
		c := &cloud{bootFor: time.Duration(seed%3) * time.Millisecond, refuse: func(n int) error {
			if n%7 == 6 {
				return errors.New("no machine")
			}
			return nil
		}}
		change := func(c *Config) {
			c.Max, c.MaxConcurrency, c.IdleShutdownAfter = 3, 1+int(seed%2), time.Millisecond
			c.ShutdownTimeout = time.Second
		}
		bubble(t, c, change, func(t *testing.T, p *Pool) { storm(t, c, p, seed) })
	}
}

func storm(t *testing.T, c *cloud, p *Pool, seed uint64) {
	var callers, others sync.WaitGroup
	var outcomes atomic.Int64
	const each, many = 6, 8
	stop := make(chan struct{})
	for i := range uint64(many) {
		callers.Go(func() {
			r := rand.New(rand.NewPCG(seed, i))
			for range each {
				callOnce(p, r, &callers, &outcomes)
			}
		})
	}
	others.Go(func() {
		r := rand.New(rand.NewPCG(seed, many))
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
			if all := c.alive(); len(all) > 0 && r.IntN(2) == 0 {
				all[r.IntN(len(all))].die(errors.New("crash"))
			}
		}
	})
	if seed%3 != 0 {
		time.Sleep(time.Duration(seed%11) * time.Millisecond)
		others.Go(func() { p.Close() })
		p.Shutdown(t.Context())
	}
	callers.Wait()
	close(stop)
	others.Wait()
	p.Close()
	synctest.Wait()
	if n := outcomes.Load(); n != each*many {
		t.Errorf("%d outcomes of %d calls", n, each*many)
	}
}

// callOnce makes a call of one kind or another, and counts its outcomes.
func callOnce(p *Pool, r *rand.Rand, callers *sync.WaitGroup, outcomes *atomic.Int64) {
	c := message([]string{"echo", "for 1ms", "forever", "stubborn 2ms", "unsendable"}[r.IntN(5)])
	c.Timeout = time.Duration(1+r.IntN(4)) * time.Millisecond
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+r.IntN(6))*time.Millisecond)
	if r.IntN(2) == 0 {
		defer cancel()
		p.Do(ctx, c)
		outcomes.Add(1)
		return
	}
	callers.Add(1)
	c.Ended = func(*Call) {
		outcomes.Add(1)
		cancel()
		callers.Done()
	}
	if err := p.Start(ctx, c); err != nil {
		c.Ended(c)
	}
}

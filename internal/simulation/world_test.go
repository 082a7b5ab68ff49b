package simulation

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/flametest"
	"github.com/fleetinglambda/flame/internal/load"
)

const (
	// grid is that of time, coarse so that things happen at the same instant.
	grid = 250 * time.Millisecond
	// longest is how long a function may take.
	longest = 8 * time.Second
	// life is how long a pool lives before it is closed.
	life = 90 * time.Second
)

// world is one life of a pool.
type world struct {
	load.Load
	calm   bool // nothing goes wrong
	faults *flametest.Faults
}

// play lives one life and returns its outcomes by kind, and what was wrong in it. It runs in a bubble of synctest.
func play(t *testing.T, seed uint64) (counts map[string]int, wrong []string) {
	w := &world{Load: load.Load{
		Rand: rand.New(rand.NewPCG(seed, 0)), Journal: load.NewJournal(nil), Longest: longest - grid, Grid: grid,
		Slack: 100 * time.Millisecond, // for a Read or Write of the caller's own that is under way
	}}
	w.calm = w.Rand.IntN(6) == 0
	w.faults = w.chooseFaults(seed)
	config := w.chooseConfig()
	w.Timeout, w.Stubborn = config.Timeout, !w.calm
	if !w.calm {
		w.Expect(load.Loss | load.NoBoot)
	}
	watch := time.AfterFunc(time.Hour, func() {
		stacks := make([]byte, 1<<20)
		panic(fmt.Sprintf("seed %d: an hour later something still goes on\n%s", seed, stacks[:runtime.Stack(stacks, true)]))
	})
	defer watch.Stop()
	w.Pool = flametest.Pool(t, flametest.Config(config), flametest.PerProcess("journal", w.Journal))
	for at := time.Duration(0); at < life; at += grid {
		for range max(0, w.Rand.IntN(8)-5) {
			w.happen()
		}
		<-time.After(grid)
	}
	w.close()
	w.Wait()
	<-time.After(longest) // of functions that ignore that they are to end, and cannot be killed
	if left := w.faults.Runners(); len(left) > 0 {
		w.Fail("the pool is closed, and there are %v", left)
	}
	return w.Outcomes(w.Journal.Starts())
}

func (w *world) chooseFaults(seed uint64) *flametest.Faults {
	f := &flametest.Faults{Seed: seed, BootTime: w.UpTo(3 * time.Second), Delay: time.Duration(max(0, w.Rand.IntN(200)-100)) * time.Millisecond}
	if w.calm {
		w.Prompt = f.Delay == 0
		return f
	}
	share := func(most float64) float64 { return max(0, w.Rand.Float64()*2-1) * most } // often none
	f.BootErrors, f.BootHangs = share(0.5), share(0.1)
	f.Deaths, f.Cuts, f.Stalls = share(0.5), share(0.5), share(0.5)
	f.StallTime, f.Within = w.UpTo(20*time.Second), 1<<(8+w.Rand.IntN(12))
	return f
}

func (w *world) chooseConfig() flame.Config {
	c := flame.Config{
		Name: "life", Backend: w.faults, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Max: 1 + w.Rand.IntN(5), MaxConcurrency: 1 + w.Rand.IntN(6),
		Timeout: w.UpTo(20*time.Second) + grid, BootTimeout: 5 * time.Second, ShutdownTimeout: w.UpTo(20*time.Second) + grid,
		KillGrace: w.UpTo(5*time.Second) + grid, IdleShutdownAfter: w.UpTo(10*time.Second) + grid,
		MaxQueue: 4 + w.Rand.IntN(100),
	}
	if w.Rand.IntN(5) == 0 {
		c.MaxConcurrency, c.SingleUse = 0, true
	}
	c.Headroom = w.Rand.IntN(min(3, c.Max*max(1, c.MaxConcurrency)))
	if w.Rand.IntN(3) == 0 {
		c.MaxRunnerAge = w.UpTo(20*time.Second) + 5*time.Second
	}
	return c
}

// happen does one thing.
func (w *world) happen() {
	switch {
	case w.Rand.IntN(12) > 0:
		w.Begin()
	case w.calm || w.Rand.IntN(3) == 0:
		most := 1 + w.Rand.IntN(5)
		if err := w.Pool.Resize(w.Rand.IntN(most+1), most); err != nil {
			w.Fail("resize: %v", err)
		}
	default:
		w.harm()
	}
}

// harm does something to a runner, if there is one, or to the next boots.
func (w *world) harm() {
	runner := ""
	if ids := w.faults.Runners(); len(ids) > 0 {
		runner = ids[w.Rand.IntN(len(ids))]
	}
	switch w.Rand.IntN(4) {
	case 0:
		w.faults.Kill(runner)
	case 1:
		w.faults.Cut(runner)
	case 2:
		w.faults.Stall(runner, w.UpTo(20*time.Second))
	case 3:
		w.faults.FailBoots(1+w.Rand.IntN(4), flametest.ErrNoBoot)
	}
}

// close ends the pool in one of the ways there are. What it returns is about functions that ignore that they are to end.
func (w *world) close() {
	w.Expect(load.Closing)
	if w.Rand.IntN(2) == 0 {
		_ = w.Pool.Close()
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), w.UpTo(30*time.Second))
	defer cancel()
	_ = w.Pool.Shutdown(ctx)
}

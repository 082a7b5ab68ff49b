package simulation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/flametest"
)

// world is one life of a pool.
type world struct {
	*rand.Rand // of the goroutine that plays it only
	t          *testing.T
	journal    *journal
	faults     *flametest.Faults
	config     flame.Config
	pool       *flame.Pool
	acts       sync.WaitGroup
	number     int // of acts

	mu      sync.Mutex // guards what follows
	closing bool
	loses   bool            // runners may be lost
	told    map[int]verdict // by act
	counts  map[string]int  // outcomes by kind
	wrong   []string
}

// verdict is what the caller of an act was told: whether its function may have run.
type verdict struct {
	ran     bool
	retries int
	err     error
}

// step is the grid of time, coarse so that things happen at the same instant.
const step = 250 * time.Millisecond

// longest is how long a function may take.
const longest = 8 * time.Second

// long is how long a life lasts before its pool is closed.
const long = 90 * time.Second

// play lives one life and returns what was wrong in it, and its outcomes by kind. It runs in a bubble of synctest.
func play(t *testing.T, seed uint64) ([]string, map[string]int) {
	w := &world{
		Rand: rand.New(rand.NewPCG(seed, 0)), t: t, journal: newJournal(), told: make(map[int]verdict), counts: make(map[string]int),
	}
	w.faults = w.chooseFaults(seed)
	w.config = w.chooseConfig()
	w.loses = w.faults.Deaths+w.faults.Cuts > 0
	watch := time.AfterFunc(time.Hour, func() {
		stacks := make([]byte, 1<<20)
		panic(fmt.Sprintf("seed %d: an hour later something still goes on\n%s", seed, stacks[:runtime.Stack(stacks, true)]))
	})
	defer watch.Stop()
	w.pool = flametest.Pool(t, flametest.Config(w.config), flametest.PerProcess("journal", w.journal))
	for at := time.Duration(0); at < long; at += step {
		for range w.happenings() {
			w.happen()
		}
		<-time.After(step)
	}
	w.close()
	w.acts.Wait()
	<-time.After(longest) // of functions that ignore that they are to end, and cannot be killed
	w.sumUp()
	return w.wrong, w.counts
}

func (w *world) chooseFaults(seed uint64) *flametest.Faults {
	share := func(most float64) float64 { return max(0, w.Float64()*2-1) * most } // often none
	return &flametest.Faults{
		Seed: seed, BootTime: w.upTo(3 * time.Second), BootErrors: share(0.5), BootHangs: share(0.1),
		Deaths: share(0.5), Cuts: share(0.5), Stalls: share(0.5), StallTime: w.upTo(20 * time.Second),
		Within: 1 << (8 + w.IntN(12)), Delay: w.upTo(100*time.Millisecond) * time.Duration(w.IntN(2)),
	}
}

func (w *world) chooseConfig() flame.Config {
	c := flame.Config{
		Name: "life", Backend: w.faults, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Max: 1 + w.IntN(5), MaxConcurrency: 1 + w.IntN(6),
		Timeout: w.upTo(20*time.Second) + step, BootTimeout: 5 * time.Second, ShutdownTimeout: w.upTo(20*time.Second) + step,
		KillGrace: w.upTo(5*time.Second) + step, IdleShutdownAfter: w.upTo(10*time.Second) + step,
		MaxQueue: 4 + w.IntN(100),
	}
	if w.IntN(5) == 0 {
		c.MaxConcurrency, c.SingleUse = 0, true
	}
	c.Headroom = w.IntN(min(3, c.Max*max(1, c.MaxConcurrency)))
	if w.IntN(3) == 0 {
		c.MaxRunnerAge = w.upTo(20*time.Second) + 5*time.Second
	}
	return c
}

// upTo returns a time on the grid.
func (w *world) upTo(most time.Duration) time.Duration {
	return time.Duration(w.Int64N(int64(most/step)+1)) * step
}

// happenings says how many things happen now: often none.
func (w *world) happenings() int { return max(0, w.IntN(8)-5) }

// happen does one thing.
func (w *world) happen() {
	if w.IntN(12) == 0 {
		w.trouble()
		return
	}
	tr := w.trial()
	act := acts[w.IntN(len(acts))]
	tr.what = act.name
	w.acts.Go(func() { act.play(w, tr) })
}

// acts are what callers do. What stands twice is done twice as often.
var acts = []struct {
	name string
	play func(*world, trial)
}{
	{"call", call},
	{"call", call},
	{"fail", fail},
	{"echo", echo},
	{"read", read},
	{"write", write},
	{"send", send},
	{"receive", receive},
	{"cast", cast},
	{"place", place},
	{"spread", spread},
	{"hold", hold},
	{"task", task},
}

// trouble does something to the pool or to one of its runners.
func (w *world) trouble() {
	kind := w.IntN(6)
	runners := w.faults.Runners()
	if kind < 3 && len(runners) == 0 {
		return
	}
	switch kind {
	case 0:
		w.lose()
		w.faults.Kill(runners[w.IntN(len(runners))])
	case 1:
		w.lose()
		w.faults.Cut(runners[w.IntN(len(runners))])
	case 2:
		w.faults.Stall(runners[w.IntN(len(runners))], w.upTo(20*time.Second))
	case 3:
		w.faults.FailBoots(1+w.IntN(4), flametest.ErrNoBoot)
	default:
		most := 1 + w.IntN(5)
		if err := w.pool.Resize(w.IntN(most+1), most); err != nil {
			w.fail("resize: %v", err)
		}
	}
}

func (w *world) lose() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.loses = true
}

// close ends the pool in one of the ways there are.
func (w *world) close() {
	w.mu.Lock()
	w.closing = true
	w.mu.Unlock()
	if w.IntN(2) == 0 {
		if err := w.pool.Close(); err != nil && !ignored(err) {
			w.fail("close: %v", err)
		}
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), w.upTo(30*time.Second))
	defer cancel()
	if err := w.pool.Shutdown(ctx); err != nil && ctx.Err() == nil && !ignored(err) {
		w.fail("shutdown: %v", err)
	}
}

// ignored says whether an error is about functions that ignore that their context has ended, which is their right.
func ignored(err error) bool { return err != nil && !errors.Is(err, flame.ErrPoolClosed) }

// sumUp looks at what is left when everything is over.
func (w *world) sumUp() {
	if left := w.faults.Runners(); len(left) > 0 {
		w.fail("the pool is closed, and there are %v", left)
	}
	for act, v := range w.told {
		switch n := w.journal.starts(act); {
		case n > 0 && !v.ran:
			w.fail("act %d: its caller was told that it did not run (%v), and it did", act, v.err)
		case n > 1+v.retries:
			w.fail("act %d: it ran %d times, with %d retries", act, n, v.retries)
		}
	}
}

func (w *world) fail(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrong = append(w.wrong, fmt.Sprintf(format, args...))
}

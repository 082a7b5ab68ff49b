package flametest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/backend/inproc"
)

// Faults is a backend for tests. Its runners are goroutines of the test's own process, as those of inproc, and fail when
// they are told to or, by the shares that are set, at random. The zero Faults never fails. The fields are set
// before the first use; the methods may be called by several goroutines at once.
type Faults struct {
	// Seed chooses what happens at random. What happens to the nth runner depends on Seed and n alone.
	Seed uint64

	// BootErrors and BootHangs are the shares, from 0 to 1, of boots that fail and of those whose runner never
	// says a word. A boot takes up to BootTime.
	BootErrors, BootHangs float64
	BootTime              time.Duration

	// Deaths is the share of runners that die as if by SIGKILL, Cuts that of runners whose connection breaks; that happens
	// when some amount of bytes has gone one way: up to Within, by default 64 KiB.
	Deaths, Cuts float64
	Within       int

	// Stalls is the share of runners whose connection once carries nothing for up to StallTime, with the same amount as to when.
	Stalls    float64
	StallTime time.Duration

	// Delay is the longest time that what is written takes to arrive. The order stays.
	Delay time.Duration

	mu      sync.Mutex // guards what follows
	booted  int
	failing []error // of the next boots
	runners map[string]*faulty
}

// ErrNoBoot is the error of boots that fail at random.
var ErrNoBoot = errors.New("flametest: this boot fails")

// Local states that main is not run again for these runners.
func (f *Faults) Local() {}

// FailBoots has the next n boots fail with err.
func (f *Faults) FailBoots(n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failing = append(f.failing, slices.Repeat([]error{err}, n)...)
}

// Runners returns the ids of the runners that live, sorted.
func (f *Faults) Runners() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ids []string
	for id := range f.runners {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Kill has a runner die as if by SIGKILL. The contexts of its functions end; goroutines cannot be killed, so a function that
// ignores that goes on unseen. It says whether there was such a runner.
func (f *Faults) Kill(runner string) bool { return f.with(runner, (*faulty).kill) }

// Cut breaks the connection of a runner.
func (f *Faults) Cut(runner string) bool { return f.with(runner, (*faulty).cut) }

// Stall has the connection of a runner carry nothing, either way, for d.
func (f *Faults) Stall(runner string, d time.Duration) bool {
	return f.with(runner, func(r *faulty) { r.stall(d) })
}

func (f *Faults) with(runner string, do func(*faulty)) bool {
	f.mu.Lock()
	r := f.runners[runner]
	f.mu.Unlock()
	if r != nil {
		do(r)
	}
	return r != nil
}

// fate is what is going to happen to one runner.
type fate struct {
	err     error         // of its boot
	hangs   bool          // it never says a word
	takes   time.Duration // its boot
	way     direction     // whose bytes count
	after   int           // how many; then
	happens func(*faulty) // nil: nothing
	delays  [2]*rand.Rand // by direction
}

// next chooses the fate of the next runner.
func (f *Faults) next() fate {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.booted++
	r := rand.New(rand.NewPCG(f.Seed, uint64(f.booted)))
	chance := func(share float64) bool { return r.Float64() < share }
	of := fate{takes: upTo(r, f.BootTime), way: direction(r.IntN(2)), after: r.IntN(cmp.Or(f.Within, 64<<10))}
	stall := upTo(r, f.StallTime)
	dies, breaks, stalls := chance(f.Deaths), chance(f.Cuts), chance(f.Stalls)
	fails, hangs := chance(f.BootErrors), chance(f.BootHangs)
	switch {
	case dies:
		of.happens = (*faulty).kill
	case breaks:
		of.happens = (*faulty).cut
	case stalls:
		of.happens = func(r *faulty) { r.stall(stall) }
	}
	for i := range of.delays {
		of.delays[i] = rand.New(rand.NewPCG(r.Uint64(), uint64(i)))
	}
	switch {
	case len(f.failing) > 0:
		of.err = f.failing[0]
		f.failing = f.failing[1:]
	case fails:
		of.err = ErrNoBoot
	}
	of.hangs = hangs
	return of
}

func upTo(r *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(r.Float64() * float64(most))
}

// Boot starts a runner, or does not.
func (f *Faults) Boot(ctx context.Context, spec backend.Spec) (backend.Instance, error) {
	to := f.next()
	if err := wait(ctx, to.takes); err != nil {
		return nil, err
	}
	if to.err != nil {
		return nil, to.err
	}
	var inner backend.Connected
	if !to.hangs {
		i, err := inproc.New().Boot(ctx, spec)
		if err != nil {
			return nil, err
		}
		inner = i.(backend.Connected)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.runners == nil {
		f.runners = make(map[string]*faulty)
	}
	r := newFaulty(spec.ID, inner, to, f.Delay, func() { f.forget(spec.ID) })
	f.runners[spec.ID] = r
	return r, nil
}

func (f *Faults) forget(runner string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.runners, runner)
}

// wait returns after d, or with the cause when ctx has ended.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("boot: %w", context.Cause(ctx))
	case <-timer.C:
		return nil
	}
}

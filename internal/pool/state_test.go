package pool

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var schedules = flag.Uint64("schedules", 60_000, "how many random schedules to try")

// TestMain has rapid try 2,000 schedules, unless it is told how many, and leave no files.
func TestMain(m *testing.M) {
	flag.Set("rapid.checks", "2000")
	flag.Set("rapid.nofailfile", "true")
	os.Exit(m.Run())
}

// TestAnyScheduleKeepsThePromises lets random things happen and checks, after each, all that promises.go holds.
func TestAnyScheduleKeepsThePromises(t *testing.T) {
	var next, failed atomic.Uint64
	begun := time.Now()
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for seed := next.Add(1); seed <= *schedules && failed.Load() == 0; seed = next.Add(1) {
				if err := trySchedule(seed, false); err != nil && failed.CompareAndSwap(0, seed) {
					t.Errorf("[schedule %d] %v", seed, trySchedule(seed, true))
				}
			}
		})
	}
	wg.Wait()
	tried := min(next.Load(), *schedules)
	t.Logf("%d schedules, %.0f a second", tried, float64(tried)/time.Since(begun).Seconds())
}

// broken is a promise that was not kept.
type broken struct{ error }

// breaker ends a schedule in which a promise was not kept.
type breaker struct{}

func (breaker) Fatal(args ...any)            { panic(broken{errors.New(fmt.Sprint(args...))}) }
func (breaker) Fatalf(f string, args ...any) { panic(broken{fmt.Errorf(f, args...)}) }

// trySchedule lives a schedule out. If it tells, the error says what has happened.
func trySchedule(seed uint64, tells bool) (err error) {
	r := rand.New(rand.NewPCG(seed, 0))
	w := &world{failer: breaker{}, upTo: func(_ string, n int) int { return r.IntN(n + 1) }, tells: tells}
	defer func() {
		if b, ok := recover().(broken); ok {
			err = b.error
		}
		for _, e := range w.story {
			err = fmt.Errorf("%w\n\t%-12v %-15v runner %-3s %-8s call %d", err, e.at, e.Kind, e.Runner, e.Reason, e.Call)
		}
	}()
	liveOut(w)
	return nil
}

// TestAnyScheduleInShort does the same with rapid, which finds the shortest schedule that breaks a promise.
func TestAnyScheduleInShort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		liveOut(&world{failer: t, upTo: func(what string, n int) int { return rapid.IntRange(0, n).Draw(t, what) }})
	})
}

// liveOut is a whole schedule.
func liveOut(w *world) {
	w.open()
	w.check()
	for range w.upTo("steps", 40) {
		happenings[w.upTo("what", len(happenings)-1)](w)
		w.check()
	}
	[]func(*world){(*world).finishWork, (*world).shutDown, (*world).cutOff}[w.upTo("end", 2)](w)
}

// grid is the step of time in the random schedules. It is coarse so that much happens at the same instant.
const grid = 50 * time.Millisecond

var (
	errGone     = errors.New("the caller has gone")
	errBootless = errors.New("it did not come up")
)

// seen is what an onlooker knows of a call.
type seen struct {
	number   int     // in the order of arrival
	holds    *runner // whose slot it holds
	inLine   bool
	sent     bool          // on the slot that it holds
	held     bool          // what it has returned holds that
	starts   int           // how often it was sent
	losses   int           // and lost
	moves    int           // and put back, by a runner that is well
	cutAt    time.Duration // when its function was to end, if it holds a slot
	outcomes int
}

// place is what an onlooker knows of a runner.
type place struct {
	stage      stage
	told       bool // to leave
	lost       bool
	away       bool // cannot be reached
	killed     bool
	asked      bool
	disturbed  bool // since it was asked
	used       bool
	served     int
	holds      int
	began      time.Duration
	joined     time.Duration
	idleSince  time.Duration
	quietSince time.Duration
	culprit    *Call         // whose function does not end
	blamedAt   time.Duration // since when

	failedBefore int
}

// world is a state and an onlooker who knows only the events and the actions.
type world struct {
	failer
	upTo    func(what string, n int) int // a random number
	s       *state
	now     time.Duration
	calls   []*Call // all that arrived
	of      map[*Call]*seen
	runners []*runner // all that were ever booted
	at      map[*runner]*place
	replay  *replay
	tells   bool
	story   []Event // all, if it tells
	failed  int     // boots in a row
	ticked  bool
	booted  int // how many boots the last event has begun
	there   int // runners before the last event
	able    int // of these, those that were not draining
	asleep  int // runners of min that had left before it because nobody came
	surplus int // how many the last event had too many
	acted   bool
	shut    bool
	closed  bool
}

type failer interface {
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// open begins the world with a new state.
func (w *world) open() {
	w.now, w.of, w.at, w.replay = 1, map[*Call]*seen{}, map[*runner]*place{}, newReplay(w.failer)
	n := 0
	w.s = newState(w.rules(), func() string { n++; return strconv.Itoa(n) })
	w.s.history.observed = true
	w.event(w.s.settle)
}

// some returns one of the values.
func some[T any](w *world, what string, of ...T) T { return of[w.upTo(what, len(of)-1)] }

// rules returns rules of which few are on.
func (w *world) rules() rules {
	r := rules{min: w.upTo("min", 2), slots: 1 + w.upTo("slots", 2)}
	r.max = max(1, r.min) + w.upTo("max", 2)
	r.idleAfter = some(w, "idle", -1, 0, grid, 3*grid)
	jitter := float64(w.upTo("jitter", 1)) / 2
	r.jitter = func() float64 { return jitter }
	switch w.upTo("special", 7) {
	case 0:
		r.minIdleAfter = some(w, "min idle", grid, 4*grid)
	case 1:
		r.asks = true
	case 2:
		r.once = true
	case 3:
		r.maxAge = 10 * grid
	case 4, 5:
		r.grace, r.lastGrace = some(w, "grace", grid, 2*grid), some(w, "last grace", grid, 3*grid)
	case 6:
		r.headroom = 1 + w.upTo("headroom", 3)
	}
	switch w.upTo("bound", 5) {
	case 0:
		r.maxLine = 1 + w.upTo("line", 3)
	case 1:
		r.maxBytes = 1 + int64(w.upTo("bytes", 3))
	case 2:
		r.bootsPerMinute = 1 + w.upTo("boots a minute", 2)
	}
	return r
}

// pick returns one of the calls or runners that fit, or nil.
func pick[E any](w *world, all []*E, fits func(*E) bool) *E {
	n := 0
	for _, e := range all {
		if fits(e) {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	n = w.upTo("which", n-1)
	for _, e := range all {
		if fits(e) {
			if n == 0 {
				return e
			}
			n--
		}
	}
	return nil
}

func (w *world) runner(stages ...stage) *runner {
	return pick(w, w.runners, func(r *runner) bool {
		for _, s := range stages {
			if w.at[r].stage == s {
				return true
			}
		}
		return false
	})
}

func (w *world) holder() *Call {
	return pick(w, w.calls, func(c *Call) bool { return w.of[c].holds != nil })
}

func (w *world) holderOn(r *runner) *Call {
	return pick(w, w.calls, func(c *Call) bool { return w.of[c].holds == r })
}

func (w *world) waiting() (n int) {
	for _, c := range w.calls {
		if w.of[c].inLine {
			n++
		}
	}
	return n
}

func (w *world) holding() (n int) {
	for _, c := range w.calls {
		if w.of[c].holds != nil {
			n++
		}
	}
	return n
}

package pool

import (
	"errors"
	"flag"
	"os"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestMain has the random test try 20,000 schedules unless -rapid.checks says otherwise.
func TestMain(m *testing.M) {
	flag.Set("rapid.checks", "20000")
	flag.Set("rapid.nofailfile", "true")
	os.Exit(m.Run())
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
	outcomes int
}

// place is what an onlooker knows of a runner.
type place struct {
	stage     stage
	told      bool // to leave
	lost      bool
	holds     int
	idleSince time.Duration

	failedBefore int
}

// world is a state and an onlooker who knows only the events and the actions.
type world struct {
	*rapid.T
	s       *state
	now     time.Duration
	calls   []*Call // all that arrived
	of      map[*Call]*seen
	runners []*runner // all that were ever booted
	at      map[*runner]*place
	failed  int // boots in a row
	ticked  bool
	booted  int // how many boots the last event has begun
	shut    bool
	closed  bool
}

func newWorld(t *rapid.T) *world {
	w := &world{T: t, now: 1, of: map[*Call]*seen{}, at: map[*runner]*place{}}
	r := rules{min: w.upTo("min", 2), slots: 1 + w.upTo("slots", 2)}
	r.max = max(1, r.min) + w.upTo("max", 2)
	r.idleAfter = []time.Duration{-1, 0, grid, 3 * grid}[w.upTo("idle", 3)]
	jitter := float64(w.upTo("jitter", 1)) / 2
	r.jitter = func() float64 { return jitter }
	w.s = newState(r, func() string { return "" })
	w.event(w.s.settle)
	return w
}

func (w *world) upTo(what string, n int) int { return rapid.IntRange(0, n).Draw(w.T, what) }

// pick returns one of the calls or runners that fit, or nil.
func pick[E any](w *world, all []*E, fits func(*E) bool) *E {
	var some []*E
	for _, e := range all {
		if fits(e) {
			some = append(some, e)
		}
	}
	if len(some) == 0 {
		return nil
	}
	return some[w.upTo("which", len(some)-1)]
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

// event lets something happen and looks at every action that follows.
func (w *world) event(decide func(time.Duration)) {
	w.ticked, w.booted = false, 0
	decide(w.now)
	for _, a := range w.s.take() {
		switch a.kind {
		case boot:
			w.runners = append(w.runners, a.r)
			w.at[a.r] = &place{stage: booting, failedBefore: w.failed}
			w.booted++
		case retire:
			w.retired(a.r)
		case grant:
			w.granted(a.c, a.r)
		case fail:
			if w.of[a.c].holds != nil {
				w.Fatalf("call %d failed although it holds a slot", w.of[a.c].number)
			}
			w.of[a.c].inLine = false
			w.outcome(a.c, a.err)
		case cut:
			if w.of[a.c].holds != a.r || a.r == nil {
				w.Fatalf("call %d was cut without a slot", w.of[a.c].number)
			}
			w.outcome(a.c, a.err)
		}
	}
}

func (w *world) granted(c *Call, r *runner) {
	o, p := w.of[c], w.at[r]
	if !o.inLine || o.outcomes > 0 {
		w.Fatalf("call %d got a slot although it does not wait", o.number)
	}
	if p.stage != ready || p.told || p.lost {
		w.Fatalf("call %d got a slot of a runner that is not ready", o.number)
	}
	for _, other := range w.calls {
		if w.of[other].inLine && w.of[other].number < o.number {
			w.Fatalf("call %d got a slot before call %d", o.number, w.of[other].number)
		}
	}
	for _, other := range w.runners {
		if q := w.at[other]; q.stage == ready && q.holds < p.holds {
			w.Fatalf("a runner with %d calls got another one, one with %d did not", p.holds, q.holds)
		}
	}
	o.inLine, o.holds = false, r
	p.holds++
}

func (w *world) retired(r *runner) {
	p := w.at[r]
	if p.told || p.stage != ready && p.stage != booting {
		w.Fatal("a runner that was on its way out was told to leave")
	}
	if p.stage == booting && (!w.shut || w.waiting()+w.holding() > 0) {
		w.Fatal("a runner that boots was told to leave while it may be of use")
	}
	p.told, p.stage = true, draining
	if p.lost || w.closed {
		return
	}
	left := 0
	for _, q := range w.at {
		if q.stage == ready {
			left++
		}
	}
	switch {
	case p.holds > 0:
		w.Fatalf("a runner with %d calls was told to leave", p.holds)
	case w.shut && w.waiting() == 0 && w.holding() == 0:
	case left < w.s.min:
		w.Fatalf("%d runners left, min is %d", left, w.s.min)
	case w.s.idleAfter < 0 || w.now-p.idleSince < w.s.idleAfter:
		w.Fatalf("told to leave after %v without a call", w.now-p.idleSince)
	}
}

func (w *world) outcome(c *Call, err error) {
	o := w.of[c]
	if o.outcomes++; o.outcomes > 1 {
		w.Fatalf("call %d has %d outcomes", o.number, o.outcomes)
	}
	if late := new(TimeoutError); errors.As(err, &late) {
		if sum := late.Queued + late.Booting + late.Running; sum != w.now-c.arrived || min(late.Queued, late.Booting, late.Running) < 0 {
			w.Fatalf("%v queued, %v booting, %v running of %v", late.Queued, late.Booting, late.Running, w.now-c.arrived)
		}
	}
}

// released notes that a call has given its slot back.
func (w *world) released(c *Call) {
	p := w.at[w.of[c].holds]
	w.of[c].holds = nil
	if p.holds--; p.holds == 0 {
		p.idleSince = w.now
	}
}

func (w *world) waiting() (n int) {
	for _, o := range w.of {
		if o.inLine {
			n++
		}
	}
	return n
}

func (w *world) holding() (n int) {
	for _, o := range w.of {
		if o.holds != nil {
			n++
		}
	}
	return n
}

// TestAnyScheduleKeepsThePromises lets random things happen and checks, after each, all that promises.go holds.
func TestAnyScheduleKeepsThePromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.check()
		for range w.upTo("steps", 40) {
			happenings[w.upTo("what", len(happenings)-1)](w)
			w.check()
		}
		[]func(*world){(*world).finishWork, (*world).shutDown, (*world).cutOff}[w.upTo("end", 2)](w)
	})
}

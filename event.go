package flame

import (
	"fmt"
	"path/filepath"
	"runtime"
	"time"

	"github.com/fleetinglambda/flame/internal/pool"
)

// EventKind says what an [Event] is about.
type EventKind uint8

// The kinds of events. Those of a runner and of a call are the steps of its life, each told once.
const (
	RunnerBooting  = EventKind(pool.RunnerBooting)  // the backend was asked for a runner
	BootFailed     = EventKind(pool.BootFailed)     // a runner did not come up; it is gone
	RunnerUp       = EventKind(pool.RunnerUp)       // a runner is ready for calls
	RunnerDraining = EventKind(pool.RunnerDraining) // a runner takes no more calls, for the event's Reason
	RunnerGone     = EventKind(pool.RunnerGone)     // nothing is left of a runner that was draining

	CallRefused = EventKind(pool.CallRefused) // the pool did not take a call
	CallQueued  = EventKind(pool.CallQueued)  // a call is in line
	CallLeased  = EventKind(pool.CallLeased)  // a call has a slot on a runner
	CallStarted = EventKind(pool.CallStarted) // a call was sent to its runner
	CallLeft    = EventKind(pool.CallLeft)    // its caller has an outcome; the function may go on, and holds its slot
	CallHeld    = EventKind(pool.CallHeld)    // its caller has a result that holds the slot until it is closed
	CallMoved   = EventKind(pool.CallMoved)   // it certainly did not start, and is in line again
	CallRetried = EventKind(pool.CallRetried) // its runner was lost, and it is in line again
	CallEnded   = EventKind(pool.CallEnded)   // its function is over
	CallFailed  = EventKind(pool.CallFailed)  // it has its outcome, and its function did not run
	CallLost    = EventKind(pool.CallLost)    // its runner was lost

	Resized = EventKind(pool.Resized) // the pool has other bounds
	Closing = EventKind(pool.Closing) // the pool takes no more calls
)

// String returns the kind in words: "runner up".
func (k EventKind) String() string { return pool.Kind(k).String() }

// Event is one thing that happened to a pool.
type Event struct {
	Pool string
	Kind EventKind
	Time time.Time

	Runner string // its id, if the event is about one
	Reason string // why it takes no more calls: idle, spent, aged, surplus, leaving, stuck, lost, closed

	Call              uint64 // its number in the order of arrival; 0 if the event is about none
	Function          string // the call's: main.handler.func1 (server.go:42)
	Attempt, Priority int
	Waited, Ran       time.Duration // of a call that is over: until it had its slot, and from then on until its outcome

	Err     error  // why a boot or a call failed, or how a runner ended
	Dropped uint64 // events right before this one that were not told, because the function that is told them was too slow
}

// Subscribe has tell called with every event from now on, in order and one at a time, until stop is called. It may take its
// time: up to 4096 events wait for it, later ones are dropped and counted, and the pool does not notice. If it panics, that
// is logged, and it is told the next one. It may use the pool. After stop it is called no more, except that a
// call to it may still be going on.
func (p *Pool) Subscribe(tell func(Event)) (stop func()) {
	return p.pool.Subscribe(p.teller(tell))
}

// teller makes events of the pool's.
func (p *Pool) teller(tell func(Event)) func(pool.Event) {
	return func(e pool.Event) {
		tell(Event{
			Pool: p.config.Name, Kind: EventKind(e.Kind), Time: e.Time, Runner: e.Runner, Reason: string(e.Reason),
			Call: e.Call, Function: functionName(e.Key), Attempt: e.Attempt, Priority: e.Priority,
			Waited: e.Waited, Ran: e.Ran, Err: atRim(p.config.Name, e.Err), Dropped: e.Dropped,
		})
	}
}

// functionName names the function of a call by its key, which is its code's address.
func functionName(key uint64) string {
	f := runtime.FuncForPC(uintptr(key))
	if f == nil {
		return ""
	}
	file, line := f.FileLine(uintptr(key))
	return fmt.Sprintf("%s (%s:%d)", f.Name(), filepath.Base(file), line)
}

package pool

import (
	"fmt"
	"time"
)

// Kind says what an Event is about.
type Kind uint8

// The kinds. Those of a runner and of a call are the steps of its life, each told once.
const (
	RunnerBooting  Kind = iota + 1
	BootFailed          // a runner did not come up; it is gone
	RunnerUp            // a runner has joined
	RunnerDraining      // a runner takes no more calls, for the Reason
	RunnerGone          // nothing is left of a runner that was draining

	CallRefused // the pool did not take a call
	CallQueued  // a call is in line
	CallLeased  // a call has a slot
	CallStarted // it is sent
	CallLeft    // it has its outcome, and its function may go on, on its slot
	CallHeld    // it has its outcome, which holds its slot until it is closed
	CallMoved   // it certainly did not start, and is in line again
	CallRetried // its runner was lost, and it is in line again
	CallEnded   // its function is over, or nobody waits for it any more and its runner is lost
	CallFailed  // it has its outcome, and its function has not run
	CallLost    // its runner was lost

	Resized // the pool has other bounds
	Closing // the pool takes no more calls
	kinds
)

// String returns the kind in words.
func (k Kind) String() string {
	names := [kinds]string{
		"", "runner booting", "boot failed", "runner up", "runner draining", "runner gone",
		"call refused", "call queued", "call leased", "call started", "call left", "call held", "call moved", "call retried",
		"call ended", "call failed", "call lost", "resized", "closing",
	}
	if k == 0 || k >= kinds {
		return fmt.Sprintf("kind %d", k)
	}
	return names[k]
}

// Event is one thing that happened to a pool.
type Event struct {
	Kind              Kind
	Time              time.Time
	Runner            string        // its id, if the event is about one
	Reason            Reason        // why it takes no more calls
	Call              uint64        // in the order in which calls came; 0: it is about none
	Key               uint64        // see Call.Key
	Attempt, Priority int           // of the call
	Err               error         // why a boot or a call failed, or how a runner ended
	Waited            time.Duration // of a call that has ended: until it had a slot
	Ran               time.Duration // likewise: from then on until it had its outcome
	Dropped           uint64        // events before this one that its reader was too slow for

	at time.Duration
}

// history counts what has happened, and keeps it for those who want to know.
type history struct {
	counts   [kinds]uint64
	observed bool
	events   []Event // since they were last taken
}

// take returns the events since the last take. They are valid until the next event.
func (h *history) take() []Event {
	e := h.events
	h.events = h.events[:0]
	return e
}

// note tells of a call, and of the runner that it is on, if any.
func (s *state) note(now time.Duration, what Kind, c *Call, r *runner, err error) {
	s.history.counts[what]++
	if s.history.observed {
		s.history.record(now, what, c, r, err)
	}
}

// noteRunner tells of a runner, or of the pool.
func (s *state) noteRunner(now time.Duration, what Kind, r *runner, err error) {
	s.note(now, what, nil, r, err)
}

func (h *history) record(now time.Duration, what Kind, c *Call, r *runner, err error) {
	e := Event{Kind: what, Err: err, at: now}
	if r != nil {
		e.Runner, e.Reason = r.id, r.why
	}
	if c != nil {
		e.Call, e.Key, e.Attempt, e.Priority = c.number, c.Key, c.Attempt, c.Priority
		switch what {
		case CallEnded, CallFailed, CallLost, CallLeft, CallHeld:
			e.Waited, e.Ran = c.Queued+c.Booting, c.Running
		}
	}
	h.events = append(h.events, e)
}

package pool

import (
	"fmt"
	"time"

	"github.com/fleetinglambda/flame/internal/session"
)

// Call is one call of a pool. It is used once.
type Call struct {
	ticket

	// Priority puts the call in line before all of a lower one.
	Priority int
	// Size is how many bytes the call takes up while it waits.
	Size int64
	// Encode returns the message. Do calls it on its caller's goroutine when the call has got a slot; with
	// Start it runs on any goroutine and must be cheap. It is called again for every attempt.
	Encode func() ([][]byte, error)
	// Ahead, if not nil, is called with the session that the call is about to be sent on, to Runner, each time, by who sends
	// it: what it sends there arrives first. An error is the call's.
	Ahead func(*Call, *session.Session) error
	// Timeout bounds waiting and running together; 0 does not.
	Timeout time.Duration
	// Detached has the function go on when the context ends. Start does not look at its context then; Do returns, and
	// the slot is held until the function is over.
	Detached bool
	// Survives has the function go on when this process is gone.
	Survives bool
	// UntilSlot has the context of Start bound only the wait for a slot.
	UntilSlot bool
	// Retry is how many more times the call may be run if its runner is lost.
	Retry int
	// Attempt says which run this is: 1, 2 … It is set before Encode is called.
	Attempt int
	// Key names the function's code, see session.Call.
	Key uint64
	// Lent is what the function uses of its caller's process; nil if nothing can be.
	Lent Lent
	// Holds says that what the runner answers may hold something that stays there and keeps the slot until it is closed.
	Holds bool
	// Closed is called once if Held is true: when that was closed or lost, or with the call's context, for which err is the
	// reason. last is what the runner answered in the end, if it did. It is called like Ended.
	Closed func(c *Call, last []byte, err error)
	// Sent, if not nil, is called each time that the call has been sent to Runner, before any Ended. It is called like
	// Ended.
	Sent func(*Call)
	// Ended is called once with the outcome of a call that Start took. It is called from any goroutine, under no
	// lock, and must not block.
	Ended func(*Call)

	// The outcome: what the runner answered, or why it did not, and where the time has gone until then.
	Reply                    []byte
	Held                     bool // the slot is held until Closed is called
	Err                      error
	Runner                   string // that had the call, or ""
	Queued, Booting, Running time.Duration

	remote *session.Call // of this attempt
	first  session.Call  // the first one's, so that most calls allocate none
	on     *live         // the runner that the slot is of
	synced bool          // its caller waits in Do
	wake   chan struct{} // for him: granted, or the outcome is there. Made when he has to wait
	unhook func() bool   // stops watching the caller's context
	done   bool          // the outcome is there; guarded by the pool's lock
	closed bool          // Closed has been called; likewise
}

// ticket is what the state knows of a call. It is guarded by the pool's lock. What a decision needs is close together, in
// it and in the first fields after it: with a million calls, memory is what takes the time.
type ticket struct {
	prev, next *Call // in the line
	alarm      alarm // for its deadline; when it is cut: its function is overdue
	phase      phase
	answered   bool // has an outcome, though its function may still run
	held       bool // has returned, and holds its slot for what it has returned
	sent       bool // to a session
	cut        bool // its function ought to end
	alone      bool // arrived when no runner was up
	runner     *runner
	number     uint64 // in the order of arrival
	moves      int    // how often its runner did not start it, and was well itself
	arrived    time.Duration
	granted    time.Duration
	deadline   time.Duration // 0: none
}

// Number is the call's, in the order of arrival, once the pool has taken it in.
func (c *Call) Number() uint64 { return c.number }

// unrun returns the error of a call that does not run because of err. If it was lost before, it may have run all the same.
func (c *Call) unrun(err error) error {
	if _, ok := err.(*TimeoutError); ok || c.Attempt <= 1 {
		return err
	}
	return &LostError{Runner: c.Runner, Started: true, Cause: fmt.Errorf("it was to be run again: %v", err)} // not %w: err says that it has not run
}

// Lent keeps what a call has lent to its runner.
type Lent interface {
	Lent() bool             // anything, once the message is encoded
	Noted(note []byte)      // what the runner notes; see session.Call
	Send()                  // the call is about to be sent, perhaps once more: nothing that its runner notes was noted yet
	Bind(send func([]byte)) // the call was sent; send notes to its runner
}

package pool

import (
	"time"

	"github.com/fleetinglambda/flame/internal/session"
)

// Call is one call of a pool. It is used once.
type Call struct {
	// Encode returns the message. Do calls it on its caller's goroutine when the call has got a slot; with
	// Start it runs on any goroutine and must be cheap.
	Encode func() ([][]byte, error)
	// Timeout bounds waiting and running together; 0 does not.
	Timeout time.Duration
	// Detached calls go on when the context of Start ends.
	Detached bool
	// Key names the function's code, see session.Call.
	Key uint64
	// Lent is what the function uses of its caller's process; nil if nothing can be.
	Lent Lent
	// Ended is called once with the outcome of a call that Start took. It is called from any goroutine, under no
	// lock, and must not block.
	Ended func(*Call)

	// The outcome: what the runner answered, or why it did not.
	Reply  []byte
	Err    error
	Runner string // that had the call, or ""

	remote *session.Call // of this attempt
	first  session.Call  // the first one's, so that most calls allocate none
	on     *live         // the runner that the slot is of
	synced bool          // its caller waits in Do
	wake   chan struct{} // for him: granted, or the outcome is there. Made when he has to wait
	unhook func() bool   // stops watching the caller's context
	sent   bool          // to a session; guarded by the pool's lock, as what follows is
	done   bool          // the outcome is there

	// For the state.
	phase      phase
	number     uint64 // in the order of arrival
	answered   bool   // has an outcome, though its function may still run
	alone      bool   // arrived when no runner was up
	runner     *runner
	arrived    time.Duration
	granted    time.Duration
	deadline   time.Duration // 0: none
	place      int           // in the deadlines
	prev, next *Call         // in the line
}

// Lent keeps what a call has lent to its runner.
type Lent interface {
	Lent() bool             // anything, once the message is encoded
	Noted(note []byte)      // what the runner notes; see session.Call
	Bind(send func([]byte)) // the call was sent; send notes to its runner
}

package pool

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrClosed is the error of a call that the pool does not take, or gives up, because it is closed.
var ErrClosed = errors.New("the pool is closed")

// ErrQueueFull is the error of a call that the pool does not take because too many wait already.
var ErrQueueFull = errors.New("too many calls wait")

// errCut is the cause of a call that Close has cut off. It is not ErrClosed, which says that the function did not run.
var errCut = errors.New("its pool was closed while it ran")

// errDeadline is the cause of a call whose time is over.
var errDeadline = context.DeadlineExceeded

// BootError says why no runner came up.
type BootError struct {
	Runner   string
	Attempts int // boots in a row that failed
	Err      error
	Output   []byte // of the last one
}

// Error returns one line.
func (e *BootError) Error() string { return fmt.Sprintf("boot runner %s: %v", e.Runner, e.Err) }

// Unwrap returns why.
func (e *BootError) Unwrap() error { return e.Err }

// LostError says that a runner was lost while it had a call.
type LostError struct {
	Runner  string
	Started bool // the function may have run
	Cause   error
	Output  []byte
}

// Error returns one line.
func (e *LostError) Error() string { return fmt.Sprintf("runner %s lost: %v", e.Runner, e.Cause) }

// Unwrap returns why.
func (e *LostError) Unwrap() error { return e.Cause }

// TimeoutError says that a call's time was over or its caller had gone.
type TimeoutError struct {
	Queued, Booting, Running time.Duration
	Started                  bool
	Boot                     error // why the last boot failed, if no runner was up
	Cause                    error // context.DeadlineExceeded, or the cause of the context's end
}

// Error returns one line.
func (e *TimeoutError) Error() string { return e.Cause.Error() }

// Unwrap returns why.
func (e *TimeoutError) Unwrap() error { return e.Cause }

package flame

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/internal/codec"
	"github.com/fleetinglambda/flame/internal/pool"
)

// ErrPoolClosed is what a call on a pool gets after Shutdown or Close. Its function did not run.
var ErrPoolClosed = errors.New("flame: the pool is closed")

// ErrQueueFull is what a call gets at once when too many calls wait already, or too many bytes of them: see Config's MaxQueue
// and MaxQueueBytes. Its function did not run.
var ErrQueueFull = errors.New("flame: the queue is full")

// ErrNotServing is what Open returns in a program that has not called [ServeIfRunner] yet: its
// runners would run main from the start and never serve.
var ErrNotServing = errors.New("flame: Open before ServeIfRunner: runners run this program's main too, " +
	"so call flame.ServeIfRunner() in main (in tests: in TestMain) before Open, or use backend/inproc")

// Ran says whether the function of a call that returned err has run, completely or in part. For
// a lost runner it says true unless the function certainly did not start.
func Ran(err error) bool {
	var (
		remote  *RemoteError
		panicky *PanicError
		lost    *RunnerLostError
		late    *TimeoutError
	)
	switch {
	case errors.As(err, &remote), errors.As(err, &panicky):
		return true
	case errors.As(err, &lost):
		return lost.Started
	case errors.As(err, &late):
		return late.Started
	default:
		return false
	}
}

// SendError says that a function, something it captured, or its result cannot cross to another process, and
// what to do instead. The function did not run, unless the error is inside a [RemoteError].
type SendError struct {
	Path   string // where: the function, then the way to the part that cannot cross
	Reason string // why, and the way out
}

// Error returns one line.
func (e *SendError) Error() string { return "flame: cannot cross: " + e.Path + ": " + e.Reason }

// BootError says that no runner came up. The function did not run.
type BootError struct {
	Pool     string
	Attempts int    // how many boots in a row failed
	Err      error  // why the last one did
	Output   []byte // the last part of what that runner wrote to stdout and stderr, at most 64 KiB
}

// Error returns one line, and the end of the runner's output under it.
func (e *BootError) Error() string {
	s := fmt.Sprintf("flame: pool %q: no runner came up in %s: %v", e.Pool, times(e.Attempts), e.Err)
	return s + quoteOutput(e.Output)
}

// Unwrap returns why.
func (e *BootError) Unwrap() error { return e.Err }

// TimeoutError says that the call's time was over: its deadline had come, or its context was cancelled. It
// unwraps to [context.DeadlineExceeded] or [context.Canceled], and to the context's cause.
type TimeoutError struct {
	// Queued, Booting and Running say how long the call waited for a free slot, for a runner
	// that was being booted, and for its function.
	Queued, Booting, Running time.Duration
	Started                  bool  // the function may have started; its context was cancelled
	Boot                     error // why the last boot failed, if the call was still waiting for a runner

	cause error
}

// Error returns one line.
func (e *TimeoutError) Error() string {
	when, why := "before its function ran", e.cause.Error()
	if e.Started {
		when = "while its function ran"
	}
	switch {
	case errors.Is(e.cause, context.DeadlineExceeded):
		why = "its deadline has passed"
	case e.cause == context.Canceled:
		why = "its caller has cancelled it"
	}
	s := fmt.Sprintf("flame: call ended %s: %s (queued %v, booting %v, running %v)",
		when, why, e.Queued.Round(time.Microsecond), e.Booting.Round(time.Microsecond), e.Running.Round(time.Microsecond))
	if e.Boot != nil {
		s += ": " + e.Boot.Error()
	}
	return s
}

// Unwrap returns the context's error, its cause, and the last failed boot.
func (e *TimeoutError) Unwrap() []error {
	errs := []error{e.cause}
	if !errors.Is(e.cause, context.DeadlineExceeded) && !errors.Is(e.cause, context.Canceled) {
		errs = append(errs, context.Canceled)
	}
	if e.Boot != nil {
		errs = append(errs, e.Boot)
	}
	return errs
}

// RunnerLostError says that the runner died or its connection was lost while it had the call.
type RunnerLostError struct {
	Started  bool      // false: the function certainly did not run. true: it may have, in part or completely
	Runner   string    // the runner's id
	ExitCode int       // of its process; -1 if that is not known
	Signal   os.Signal // that killed it, or nil
	OOM      bool      // it was killed because memory ran out
	Output   []byte    // the last part of what it wrote to stdout and stderr, at most 64 KiB
	Stacks   []byte    // if a function ignored that its context had ended: of its goroutines, at most 64 KiB

	own   bool // what was lost is the process that the call had for itself
	cause error
}

// Error returns one line, and the end of the runner's output under it.
func (e *RunnerLostError) Error() string {
	what, ran := "runner ", "has not run"
	if e.own {
		what = "the call's own process on runner "
	}
	if e.Started {
		ran = "may have run"
	}
	return fmt.Sprintf("flame: %s%s was lost with a call, whose function %s: %v", what, e.Runner, ran, e.cause) + quoteOutput(e.Output)
}

// Unwrap returns how the runner or its connection ended.
func (e *RunnerLostError) Unwrap() error { return e.cause }

// RemoteError is the error that the function returned on its runner. errors.Is and errors.As see through it to
// the original: the same package-level errors, equal values of the program's own error types.
type RemoteError struct {
	Err    error
	Runner string // the runner's id
}

// Error returns what the function's error says.
func (e *RemoteError) Error() string { return e.Err.Error() }

// Unwrap returns the function's error.
func (e *RemoteError) Unwrap() error { return e.Err }

// PanicError says that the function panicked. Its runner goes on.
type PanicError struct {
	Value  string // the panic's value as fmt.Sprint prints it
	Stack  string // the goroutine's stack on the runner
	Runner string // the runner's id

	err error // the value, if it was an error that could cross
}

// Error returns one line and the stack under it.
func (e *PanicError) Error() string {
	return "flame: the function panicked: " + e.Value + "\n\n" + e.Stack
}

// Unwrap returns the panic's value if that was an error.
func (e *PanicError) Unwrap() error { return e.err }

// atRim turns the errors of the rooms inside into those above.
func atRim(name string, err error) error {
	var (
		send *codec.SendError
		boot *pool.BootError
		lost *pool.LostError
		late *pool.TimeoutError
	)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pool.ErrClosed):
		return ErrPoolClosed
	case errors.Is(err, pool.ErrQueueFull):
		return ErrQueueFull
	case errors.As(err, &late):
		return &TimeoutError{
			Queued: late.Queued, Booting: late.Booting, Running: late.Running,
			Started: late.Started, Boot: atRim(name, late.Boot), cause: late.Cause,
		}
	case errors.As(err, &lost):
		return lostAtRim(lost)
	case errors.As(err, &boot):
		return &BootError{Pool: name, Attempts: boot.Attempts, Err: boot.Err, Output: boot.Output}
	case errors.As(err, &send):
		return &SendError{Path: send.Path, Reason: send.Reason}
	default:
		return fmt.Errorf("flame: %w", err)
	}
}

func lostAtRim(l *pool.LostError) error {
	e := &RunnerLostError{Started: l.Started, Runner: l.Runner, ExitCode: -1, Output: l.Output, cause: l.Cause}
	var exit *backend.ExitError
	if errors.As(l.Cause, &exit) {
		e.exited(exit)
	}
	var stuck *pool.StuckError
	if errors.As(l.Cause, &stuck) {
		named := *stuck // it is the error of other calls, too
		named.Name = functionName(stuck.Key)
		e.Stacks, e.cause = stuck.Stacks, &named
	}
	return e
}

// exited says how a process has ended.
func (e *RunnerLostError) exited(exit *backend.ExitError) {
	e.ExitCode, e.Signal, e.OOM = exit.Code, exit.Signal, exit.OOM
}

// quotedLines is how much of a runner's output an error's text shows. The rest is in its field.
const quotedLines = 20

// quoteOutput returns the last lines of out, indented and with control characters escaped.
func quoteOutput(out []byte) string {
	lines := strings.Split(strings.TrimRight(string(out), "\n"), "\n")
	if len(out) == 0 {
		return ""
	}
	var s strings.Builder
	s.WriteString("\nthe runner's output:")
	for _, line := range lines[max(0, len(lines)-quotedLines):] {
		quoted := fmt.Sprintf("%q", strings.ReplaceAll(line, "\t", "    "))
		s.WriteString("\n\t" + strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`))
	}
	return s.String()
}

func times(n int) string {
	if n == 1 {
		return "1 boot"
	}
	return fmt.Sprintf("%d boots in a row", n)
}

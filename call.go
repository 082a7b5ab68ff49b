package flame

import (
	"context"
	"reflect"
	"sync"

	"github.com/fleetinglambda/flame/internal/pool"
	"github.com/fleetinglambda/flame/internal/runner"
)

// Call runs fn on a runner of p and returns its result. The variables that fn captures come along as copies; what
// fn assigns to them stays on the runner. What fn refers to must not be written by others until Call returns.
//
// The work ends with ctx, and with the call's timeout ([Timeout], or that of the pool): Call returns a
// [TimeoutError] at once and the context that fn has got is cancelled. Other errors are a [SendError], a
// [BootError], [ErrPoolClosed], a [RunnerLostError], and once fn has run a [RemoteError] or a [PanicError]; [Ran] tells.
//
// What fn returns as an [io.ReadCloser], or another such interface with Close, stays on the runner and is read from there.
// It holds the runner's slot until it is closed or ctx ends; the timeout is over when fn has returned. If the runner is lost, Read
// fails with a [RunnerLostError]. What the program loses without closing it is closed, with a warning.
func Call[T any](ctx context.Context, p *Pool, fn func(context.Context) (T, error), opts ...Option) (T, error) {
	var result T
	err := p.do(ctx, function[T]{fn}, &result, opts)
	return result, err
}

// Run is [Call] for a function without a result.
func Run(ctx context.Context, p *Pool, fn func(context.Context) error, opts ...Option) error {
	return p.do(ctx, procedure{fn}, nil, opts)
}

// Cast has fn run on a runner of p and returns as soon as it has a slot or a place in the line. ctx bounds only the wait
// for that: the work goes on when ctx ends, so that a handler may return. There is no timeout unless [Timeout] is given.
// The captured variables are copied before Cast returns. If fn fails later, the pool's logger gets one warning.
func Cast(ctx context.Context, p *Pool, fn func(context.Context) error, opts ...Option) error {
	if err := ctx.Err(); err != nil {
		return &TimeoutError{cause: context.Cause(ctx)}
	}
	c := &sending{call: pool.Call{Detached: true}}
	c.call.Ended = func(call *pool.Call) {
		c.desk.Close()
		if err := p.read(call, call.Err, nil); err != nil {
			p.config.Logger.Warn("flame: cast failed", "pool", p.config.Name, "runner", call.Runner, "error", err)
		}
	}
	return p.start(ctx, c, procedure{fn}, append([]Option{Timeout(-1)}, opts...))
}

// Start runs fn on a runner of p as [Call] does, but does not wait for it. The captured variables are
// copied before Start returns. Every error is the Task's.
func Start[T any](ctx context.Context, p *Pool, fn func(context.Context) (T, error), opts ...Option) *Task[T] {
	c, out := new(sending), &outcome[T]{done: make(chan struct{})}
	c.call.Ended = func(call *pool.Call) {
		if call.Held { // read now, so that it is closed even if nobody waits for it
			c.Go(func() {
				out.read.Do(func() { out.err = p.readHeld(c, &out.result) })
				close(out.done)
			})
			return
		}
		c.desk.Close()
		close(out.done)
	}
	t := &Task[T]{pool: p, sending: c, outcome: out}
	if err := p.start(ctx, c, function[T]{fn}, opts); err != nil {
		t.refused = err
		close(out.done)
	}
	return t
}

// Task is a function that [Start] has started. Its methods may be called by several goroutines at once.
type Task[T any] struct {
	pool    *Pool
	sending *sending
	refused error // the pool did not take it
	outcome *outcome[T]
}

// outcome is what becomes of a Task. When it is known, only the Task refers to it.
type outcome[T any] struct {
	done chan struct{} // closed when it is known

	read   sync.Once
	result T
	err    error
}

// Wait waits for the function and returns its result, any number of times. ctx bounds only the wait: when
// it ends first, Wait returns its cause and the function runs on.
func (t *Task[T]) Wait(ctx context.Context) (T, error) {
	out := t.outcome
	select {
	case <-out.done:
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
	out.read.Do(func() {
		if out.err = t.refused; out.err == nil {
			t.sending.desk.Wait(ctx)
			out.err = t.pool.read(&t.sending.call, t.sending.call.Err, &out.result)
		}
	})
	return out.result, out.err
}

// Done is closed when the function's outcome is known.
func (t *Task[T]) Done() <-chan struct{} { return t.outcome.done }

// Cancel ends the work as the end of its context does. A Task that is over stays as it is.
func (t *Task[T]) Cancel() {
	if t.refused == nil {
		t.pool.pool.Cancel(&t.sending.call, context.Canceled)
	}
}

// function is what crosses for a Call. A runner finds the type of the result in that of the function.
type function[T any] struct {
	fn func(context.Context) (T, error)
}

// Run runs it on the runner.
func (f function[T]) Run(ctx context.Context) (any, error) {
	result, err := f.fn(ctx)
	return &result, err
}

func (f function[T]) code() any { return f.fn }

func (f function[T]) result() reflect.Type { return reflect.TypeFor[T]() }

// procedure is what crosses for a Run or a Cast.
type procedure struct {
	fn func(context.Context) error
}

// nothing is the result of a procedure.
type nothing struct{}

// Run runs it on the runner.
func (f procedure) Run(ctx context.Context) (any, error) { return new(nothing), f.fn(ctx) }

func (f procedure) code() any { return f.fn }

func (f procedure) result() reflect.Type { return reflect.TypeFor[nothing]() }

// sendable is a function that can be looked at before it crosses.
type sendable interface {
	runner.Function
	code() any
	result() reflect.Type
}

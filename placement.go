package flame

import (
	"context"
	"sync"

	"github.com/fleetinglambda/flame/internal/pool"
)

// Place starts something long-lived on a runner of p, such as a watcher or a server, and returns when it has been sent there. It
// holds a slot, and keeps its runner up, until it ends: when fn returns, with [Placement.Stop], or with the pool. ctx
// bounds only the wait for a slot; there is no timeout unless [Timeout] is given. The captured variables
// are copied before Place returns. If its runner is lost, so is it, unless [Retry] is given.
func Place(ctx context.Context, p *Pool, fn func(context.Context) error, opts ...Option) (*Placement, error) {
	if err := ctx.Err(); err != nil {
		return nil, &TimeoutError{cause: context.Cause(ctx)}
	}
	pl := &Placement{pool: p, sent: make(chan struct{}), done: make(chan struct{})}
	var ending context.Context
	ending, pl.end = context.WithCancel(context.WithoutCancel(ctx))
	c := &pl.sending
	c.call.UntilSlot = true
	c.call.Sent = pl.arrived
	c.call.Ended = pl.ended
	if err := p.start(ctx, c, placed{procedure{fn}, ending}, append([]Option{Timeout(-1)}, opts...)); err != nil {
		pl.end()
		return nil, err
	}
	select {
	case <-pl.sent:
		return pl, nil
	case <-pl.done: // it may have been sent before
	}
	if pl.Runner() == "" {
		return nil, pl.Err()
	}
	return pl, nil
}

// Placement is something long-lived that [Place] has started. Its methods may be called by several goroutines at once.
type Placement struct {
	pool    *Pool
	sending sending
	end     context.CancelFunc // of the function's context, on the runner
	sent    chan struct{}      // closed when it has been sent
	done    chan struct{}      // closed when it is over

	mu     sync.Mutex // guards what follows
	runner string
	err    error
}

// Runner returns the id of the runner that it is on, or was on last.
func (pl *Placement) Runner() string {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	return pl.runner
}

// Done is closed when it is over.
func (pl *Placement) Done() <-chan struct{} { return pl.done }

// Err returns nil as long as it runs, and then what the function returned: a [RemoteError] or nil. If it did not end by
// itself, that is a [TimeoutError], a [RunnerLostError] or a [PanicError].
func (pl *Placement) Err() error {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	return pl.err
}

// Stop ends the function's context and waits until the function has ended. It returns nil when it has, whatever Err says
// then. If ctx ends first, Stop returns its cause, and it is over as far as the caller is concerned: a function that goes on
// holds its slot, for no longer than the pool's KillGrace.
func (pl *Placement) Stop(ctx context.Context) error {
	pl.end()
	select {
	case <-pl.done:
		return nil
	case <-ctx.Done():
		pl.pool.pool.Cancel(&pl.sending.call, context.Cause(ctx))
		return context.Cause(ctx)
	}
}

func (pl *Placement) arrived(c *pool.Call) {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	if pl.runner == "" {
		close(pl.sent)
	}
	pl.runner = c.Runner
}

func (pl *Placement) ended(c *pool.Call) {
	pl.end()
	pl.sending.desk.Close()
	err := pl.pool.read(c, c.Err, nil)
	pl.mu.Lock()
	pl.err = err
	pl.mu.Unlock()
	close(pl.done)
}

// placed is what crosses for a Place.
type placed struct {
	procedure
	ending context.Context // ends when the caller wants the function to end
}

// Run runs it on the runner.
func (f placed) Run(ctx context.Context) (any, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(f.ending, func() { cancel(context.Cause(f.ending)) })()
	return f.procedure.Run(ctx)
}

package runner

import (
	"context"
	"fmt"
	"sync"

	"github.com/fleetinglambda/flame/internal/codec"
	"github.com/fleetinglambda/flame/internal/lend"
	"github.com/fleetinglambda/flame/internal/session"
)

// Item is a Function that needs what stays with the runner.
type Item interface {
	Function
	// Needs is the number of what it needs.
	Needs() uint64
	// With returns the Function to run instead.
	With(resident any) (Function, error)
}

// residents are what stays with a runner for calls that come, by number. The zero value is ready.
type residents struct {
	mu sync.Mutex // guards what follows
	by map[uint64]*resident
}

// resident is what came under a number, or is to come.
type resident struct {
	users int           // who waits for it or keeps it; guarded by the lock of residents
	ready chan struct{} // closed when it has come and was decoded, or could not be

	mu       sync.Mutex // guards what follows
	message  []byte     // until it is decoded
	borrower *lend.Borrower
	value    Function
}

// keep decodes what has come and keeps it until its context ends.
func (r *residents) keep(in *session.Incoming, left *lend.Leftovers) {
	e := r.use(in.Key())
	defer r.release(in.Key(), e)
	defer func() { in.Reply([][]byte{{byte(Returned)}}) }()
	e.borrower = &lend.Borrower{Link: in, Leftovers: left}
	defer e.borrower.End()
	e.message, in.Data = in.Data, nil
	func() {
		defer close(e.ready)
		_, _ = e.decoded()
	}()
	<-in.Context().Done()
}

// decoded returns what has come. What could not be decoded is decoded again: a thing of this process that could not be
// made before may be made now.
func (e *resident) decoded() (value Function, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.value != nil {
		return e.value, nil
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("decode it: panic: %s", clip(fmt.Sprint(v)))
		}
	}()
	if err = codec.Receive(e.message, &value, e.borrower); err == nil {
		e.value, e.message = value, nil
	}
	return value, err
}

// prepare returns the function to run for f. What it needs may be still on its way; ctx bounds the wait.
func (r *residents) prepare(ctx context.Context, f Function) (Function, error) {
	item, ok := f.(Item)
	if !ok {
		return f, nil
	}
	e := r.use(item.Needs())
	defer r.release(item.Needs(), e)
	select {
	case <-e.ready:
	default:
		select {
		case <-e.ready:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	value, err := e.decoded()
	if err != nil {
		return nil, err
	}
	whole, err := item.With(value)
	return borrowing{whole, e.borrower}, err
}

// borrowing is a Function that uses what was lent to what stays.
type borrowing struct {
	Function
	borrower *lend.Borrower
}

// Run runs it, and waits until the parent has had what it wrote.
func (f borrowing) Run(ctx context.Context) (result any, err error) {
	defer func() {
		if unsettled := f.borrower.Settle(ctx); err == nil {
			err = unsettled
		}
	}()
	return f.Function.Run(ctx)
}

func (r *residents) use(number uint64) *resident {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.by[number]
	if e == nil {
		if r.by == nil {
			r.by = make(map[uint64]*resident)
		}
		e = &resident{ready: make(chan struct{})}
		r.by[number] = e
	}
	e.users++
	return e
}

func (r *residents) release(number uint64, e *resident) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.users--; e.users == 0 {
		delete(r.by, number)
	}
}

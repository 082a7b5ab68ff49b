package runner

import (
	"context"
	"errors"
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
	ready chan struct{} // closed when the rest is set
	value any
	err   error // why it could not be decoded
	users int   // who waits for it or keeps it; guarded by the lock of residents
}

// errUndecoded is the error of what a decoder of the program's own has given up.
var errUndecoded = errors.New("what decodes it has ended its goroutine")

// keep decodes what has come and keeps it until its context ends.
func (r *residents) keep(in *session.Incoming, left *lend.Leftovers) {
	e := r.use(in.Key())
	defer r.release(in.Key(), e)
	defer func() { in.Reply([][]byte{{byte(Returned)}}) }()
	borrower := lend.Borrower{Link: in, Leftovers: left}
	defer borrower.End()
	e.receive(in, &borrower)
	in.Data = nil
	<-in.Context().Done()
}

// receive decodes what has come.
func (e *resident) receive(in *session.Incoming, b *lend.Borrower) {
	e.err = errUndecoded
	defer close(e.ready)
	defer func() {
		if v := recover(); v != nil {
			e.err = fmt.Errorf("decode it: panic: %s", clip(fmt.Sprint(v)))
		}
	}()
	var f Function
	e.err = codec.Receive(in.Data, &f, b)
	e.value = f
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
	if e.err != nil {
		return nil, e.err
	}
	return item.With(e.value)
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

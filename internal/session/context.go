package session

import (
	"context"
	"sync"
	"time"
)

// callContext is the context of one call's function. Most functions are over before anybody asks whether
// it has ended, so it makes a channel only when asked for one, and has no timer: the Server keeps all deadlines.
type callContext struct {
	deadline time.Time // zero: none; changed under the Server's lock and mu
	of       *Incoming

	mu    sync.Mutex // guards what follows
	err   error
	cause context.Context // has it, if it is another one than err; package context asks for it by a key of its own
	why   []byte          // the cause as the parent has packed it
	done  chan struct{}   // closed when err is set; made when it is asked for
	after map[*func()]struct{}
}

// Deadline returns when the call's time is over.
func (c *callContext) Deadline() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.deadline, !c.deadline.IsZero()
}

// lift takes the deadline away.
func (c *callContext) lift() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = time.Time{}
}

// Done is closed when the function should end.
func (c *callContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.err != nil {
			close(c.done)
		}
	}
	return c.done
}

// Err says why.
func (c *callContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Value knows the call and the cause only.
func (c *callContext) Value(key any) any {
	if _, ok := key.(ofCall); ok {
		return c.of
	}
	c.mu.Lock()
	cause := c.cause
	c.mu.Unlock()
	if cause == nil {
		return nil
	}
	return cause.Value(key)
}

// AfterFunc has package context derive contexts from this one without a goroutine for each.
func (c *callContext) AfterFunc(f func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		c.mu.Unlock()
		f()
		c.mu.Lock()
		return func() bool { return false }
	}
	if c.after == nil {
		c.after = make(map[*func()]struct{})
	}
	c.after[&f] = struct{}{}
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, waiting := c.after[&f]
		delete(c.after, &f)
		return waiting
	}
}

// end ends the context. The first reason counts.
func (c *callContext) end(err error) { c.endFor(err, nil, nil) }

// endFor ends it for a cause, which the parent has packed as why. Without a cause it is err.
func (c *callContext) endFor(err, cause error, why []byte) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err, c.why = err, why
	if cause != nil {
		with, cancel := context.WithCancelCause(context.Background())
		cancel(cause)
		c.cause = with
	}
	if c.done != nil {
		close(c.done)
	}
	after := c.after
	c.after = nil
	c.mu.Unlock()
	for f := range after {
		(*f)()
	}
}

var _ context.Context = (*callContext)(nil)

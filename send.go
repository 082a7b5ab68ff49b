package flame

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/fleetinglambda/flame/internal/codec"
	"github.com/fleetinglambda/flame/internal/lend"
	"github.com/fleetinglambda/flame/internal/pool"
	"github.com/fleetinglambda/flame/internal/runner"
)

// sending is one call, and what it has lent to the runner that has it.
type sending struct {
	call     pool.Call
	desk     lend.Desk
	held     lend.Held // what its result has lent
	pool     *Pool
	crossing runner.Function
	carry    wrap    // makes of a function what crosses for it
	wrong    []error // what is wrong with its options

	each      bool // it stands for the items of a Map
	unordered bool // which come as they finish
}

// do runs f and reads its result into result, which is a pointer or nil.
func (p *Pool) do(ctx context.Context, f sendable, result any, opts []Option) error {
	c := new(sending)
	if err := p.prepare(ctx, c, f, opts); err != nil {
		return err
	}
	c.call.Encode = func() ([][]byte, error) {
		return codec.Encode(&c.crossing, codec.Options{Limit: p.config.MessageLimit, Lender: &c.desk, Notice: c})
	}
	err := p.pool.Do(ctx, &c.call)
	if c.call.Held {
		return p.readHeld(c, result)
	}
	c.desk.Close()
	if err != nil { // the caller has waited long enough
		ended, cancel := context.WithCancel(ctx)
		cancel()
		ctx = ended
	}
	c.desk.Wait(ctx)
	return p.read(&c.call, err, result)
}

// start gives c, with a copy of all that f captured, to the pool.
func (p *Pool) start(ctx context.Context, c *sending, f sendable, opts []Option) error {
	if err := p.prepare(ctx, c, f, opts); err != nil {
		return err
	}
	msg, err := codec.Encode(&c.crossing, codec.Options{Limit: p.config.MessageLimit, Snapshot: true, Lender: &c.desk, Notice: c})
	if err == nil {
		c.call.Encode = func() ([][]byte, error) { return msg, nil }
		c.call.Size = msg.Size()
		err = p.pool.Start(ctx, &c.call)
	}
	if err != nil {
		c.desk.Close()
	}
	return atRim(p.config.Name, err)
}

// prepare fills c in and checks, by type, that f can cross.
func (p *Pool) prepare(ctx context.Context, c *sending, f sendable, opts []Option) error {
	if p == nil {
		return fmt.Errorf("%w: it is a nil *flame.Pool: open one with flame.Open", ErrPoolClosed)
	}
	code := reflect.ValueOf(f.code()).Pointer()
	if code == 0 {
		return &SendError{Path: "the function", Reason: "it is nil: pass a func literal or a function"}
	}
	c.call.Key, c.call.Lent = uint64(code), c
	if c.call.Timeout = p.config.Timeout; c.call.Timeout < 0 {
		c.call.Timeout = 0
	}
	for _, o := range opts {
		o(c)
	}
	if err := errors.Join(c.wrong...); err != nil {
		return err
	}
	if err := codec.CheckType(f.result()); err != nil {
		return atRim(p.config.Name, err)
	}
	if c.call.Holds = codec.Lends(f.result()); c.call.Holds {
		c.call.Closed, c.held.Owner = c.closed, c
	}
	var err error
	if c.carry, err = p.config.carry(ctx); err != nil {
		return err
	}
	c.pool, c.crossing = p, runner.Function(f)
	if !c.each { // else each item brings what is propagated
		c.crossing = c.carry(f)
	}
	c.desk.Context, c.desk.Owner, c.desk.Again, c.desk.Limit = ctx, c, c.call.Retry > 0, p.config.MessageLimit
	return atRim(p.config.Name, codec.Check(&c.crossing))
}

// read turns a call's outcome into an error, and what the function returned into result.
func (p *Pool) read(c *pool.Call, err error, result any) error {
	if err != nil {
		return atRim(p.config.Name, err)
	}
	return p.readReply(c, result, nil)
}

// readReply reads what the runner has answered. Whatever the result has lent stands in held, which may be nil.
func (p *Pool) readReply(c *pool.Call, result any, held codec.Borrower) error {
	changed, answer, err := runner.Remark(c.Reply)
	if err != nil {
		return badAnswer(c.Runner, err)
	}
	if changed != "" {
		p.warnChanged(c, changed)
	}
	return readAnswer(answer, c.Runner, result, held)
}

// Lent says whether the runner may have something to note.
func (c *sending) Lent() bool { return c.call.Holds || c.desk.Lent() }

// Noted takes a note of the runner.
func (c *sending) Noted(note []byte) {
	if !c.held.Noted(note) {
		c.desk.Noted(note)
	}
}

// Send is called before the call is sent to a runner, each time.
func (c *sending) Send() {
	c.desk.Send(lend.Mark{Pool: c.pool.config.Name, Runner: c.call.Runner, Call: c.call.Number()})
}

// Bind is called when the call was sent to a runner.
func (c *sending) Bind(send func(note []byte)) {
	c.desk.Bind(send)
	c.held.Bind(send)
}

// Go runs f, which the call's desk needs done besides; the pool's Close waits for it.
func (c *sending) Go(f func()) { c.pool.goOn(f) }

// Dropped tells of records that the function has logged and nobody will read.
func (c *sending) Dropped(n int) {
	c.pool.config.Logger.Warn("flame: log records of runners were dropped: they came faster than the logger took them",
		"pool", c.pool.config.Name, "records", n)
}

// Fail ends the call because of what its function did with something that was lent to it.
func (c *sending) Fail(err error) { c.pool.pool.Cancel(&c.call, err) }

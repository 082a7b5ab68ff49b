package pool

import (
	"context"
	"errors"
	"time"

	"github.com/fleetinglambda/flame/internal/session"
)

// Do runs c and returns when it has its outcome. ctx ends it.
func (p *Pool) Do(ctx context.Context, c *Call) error {
	c.synced = true
	if err := p.admit(ctx, c); err != nil {
		c.Err = err
		return err
	}
	slot, over := p.waitForSlot(c)
	for ; !over; slot, over = p.waitForSlot(c) {
		if l, remote := p.send(c); remote != nil {
			l.session.Wait(remote)
		}
	}
	if slot { // it came together with the outcome
		p.event(nil, func(now time.Duration) { p.state.finish(c, nil, now) })
	}
	if c.unhook != nil && !c.Held { // else the context's end ends that
		c.unhook()
	}
	return c.Err
}

// Start takes c in and returns. An error means that it did not: c.Ended is not called then.
func (p *Pool) Start(ctx context.Context, c *Call) error { return p.admit(ctx, c) }

// Cancel gives c its outcome, unless it has one, and has its function end, detached or not. The cause is in its
// *TimeoutError. A call that was not taken in stays as it is.
func (p *Pool) Cancel(c *Call, cause error) {
	p.event(nil, func(now time.Duration) {
		if c.number > 0 {
			p.state.cancel(c, cause, now)
		}
	})
}

// admit brings c into the state, or says why not.
func (p *Pool) admit(ctx context.Context, c *Call) (refused error) {
	c.remote = &c.first
	watched := ctx.Done() != nil && (c.synced || !c.Detached)
	if watched && ctx.Err() != nil {
		return &TimeoutError{Cause: causeOf(ctx)}
	}
	if d, ok := ctx.Deadline(); ok && watched && !c.Detached && !c.UntilSlot {
		c.deadline = max(1, d.Sub(p.start))
	}
	p.event(c, func(now time.Duration) {
		if at := now + c.Timeout; c.Timeout > 0 && at > 0 && (c.deadline == 0 || at < c.deadline) {
			c.deadline = at
		}
		if c.deadline > 0 && c.deadline <= now {
			refused = &TimeoutError{Cause: errDeadline}
			return
		}
		refused = p.state.arrive(c, now)
	})
	if refused == nil && watched {
		p.watch(ctx, c)
	}
	return refused
}

// causeOf says why ctx has ended. A deadline is a deadline, whether ctx or the pool has noticed it first.
func causeOf(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return errDeadline
	}
	return context.Cause(ctx)
}

// watch has the end of ctx end c.
func (p *Pool) watch(ctx context.Context, c *Call) {
	stop := context.AfterFunc(ctx, func() {
		p.event(nil, func(now time.Duration) { p.state.expire(c, causeOf(ctx), now) })
	})
	p.mu.Lock()
	c.unhook = stop
	needless := c.done && !c.Held || c.closed || c.UntilSlot && c.sent
	p.mu.Unlock()
	if needless {
		stop()
	}
}

// waitForSlot waits until c has a slot that it has not been sent on yet, or its outcome, or both.
func (p *Pool) waitForSlot(c *Call) (slot, over bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if slot = c.phase == granted && !c.sent; slot || c.done {
			return slot, c.done
		}
		p.sleepLocked(c)
	}
}

// sleepLocked waits, without the lock, until something has changed for c.
func (p *Pool) sleepLocked(c *Call) {
	if c.wake == nil {
		c.wake = make(chan struct{}, 1)
	}
	p.mu.Unlock()
	<-c.wake
	p.mu.Lock()
}

func (c *Call) wakeLocked() {
	if c.wake != nil {
		select {
		case c.wake <- struct{}{}:
		default: // it has been woken
		}
	}
}

// perform does, without the lock, what the state has decided about a call.
func (p *Pool) perform(a action) {
	switch a.kind {
	case grant:
		if !a.c.synced { // else his own goroutine sends
			p.send(a.c)
		}
	case fail:
		p.finish(a.c, a.err)
	case cut, part:
		p.abandon(a.c, a.err, a.kind == part)
	}
}

// finish gives c its outcome.
func (p *Pool) finish(c *Call, err error) {
	p.mu.Lock()
	first := !c.done
	if first {
		c.done, c.Err = true, err
		c.wakeLocked()
	}
	unhook := c.unhook
	p.mu.Unlock()
	if !first || c.synced {
		return
	}
	if unhook != nil {
		unhook()
	}
	c.Ended(c)
}

// abandon gives c its outcome now. Its function is asked to end, unless it goes on, and keeps its slot until it has.
func (p *Pool) abandon(c *Call, err error, goesOn bool) {
	p.finish(c, err)
	p.mu.Lock()
	sent, held, l, remote := c.sent, c.Held, c.on, c.remote
	p.mu.Unlock()
	if held {
		p.close(c, nil, err)
	}
	if sent { // else who sends it sees that it has its outcome
		p.letGo(l, remote, goesOn || !held && errors.Is(err, context.DeadlineExceeded), err)
	}
}

// letGo has the function end whose caller is not waiting any more, if it is to. The runner keeps deadlines itself, so that
// the function learns the true reason.
func (p *Pool) letGo(l *live, remote *session.Call, goesOn bool, err error) {
	if !goesOn {
		l.session.CancelFor(remote, p.why(err))
	}
	l.session.Release(remote)
}

// why packs the cause of a call's end, unless it is the plain one.
func (p *Pool) why(err error) []byte {
	var given *TimeoutError
	if p.config.Cause == nil || !errors.As(err, &given) || given.Cause == context.Canceled {
		return nil
	}
	return p.config.Cause(given.Cause)
}

// send sends c to the runner that it has a slot of. It returns what was sent, or nil if there is nothing to wait for.
func (p *Pool) send(c *Call) (*live, *session.Call) {
	parts, err := p.encode(c)
	if err != nil {
		p.finish(c, c.unrun(err))
		return nil, nil
	}
	var now, left time.Duration
	if c.deadline > 0 {
		if now = p.now(); now >= c.deadline { // the timer is late
			p.Cancel(c, errDeadline)
		}
		left = c.deadline - now
	}
	p.mu.Lock()
	l, remote, unhook := c.on, c.remote, c.unhook
	if now == 0 && p.state.history.observed { // else nobody asks
		now = p.now()
	}
	begun := p.state.begin(c, now)
	p.publishLocked()
	p.mu.Unlock()
	if !begun { // its time was over while it was encoded
		p.event(nil, func(now time.Duration) { p.state.finish(c, nil, now) })
		return nil, nil
	}
	if c.UntilSlot && unhook != nil {
		unhook()
	}
	if c.Sent != nil {
		c.Sent(c)
	}
	if p.config.Begins != nil {
		p.config.Begins(c, l.runner.id)
	}
	if err := p.transmit(c, l, remote, parts, left); err != nil {
		p.ended(c, l, session.Result{Lost: err != session.ErrLeaving})
		return nil, nil
	}
	p.mu.Lock()
	answered, cut := c.done, c.cut
	p.mu.Unlock()
	if answered { // its time was over while it was sent
		p.letGo(l, remote, !cut || errors.Is(c.Err, context.DeadlineExceeded), c.Err)
	}
	return l, remote
}

// transmit hands c to the session of its runner, with the time that is left for it, or 0. It fails if that is
// over, or the runner leaves.
func (p *Pool) transmit(c *Call, l *live, remote *session.Call, parts [][]byte, left time.Duration) error {
	remote.Number = c.number
	remote.Key, remote.Attended, remote.Attempt, remote.Detached = c.Key, c.synced, c.Attempt, c.Survives
	remote.Ended = func(r session.Result) { p.ended(c, l, r) }
	if c.Holds {
		remote.Held = func(r session.Result) { p.held(c, l, remote, r.Data) }
	}
	lends := c.Lent != nil && c.Lent.Lent()
	if lends {
		remote.Noted = c.Lent.Noted
		c.Lent.Send()
	}
	if err := l.session.Send(remote, parts, left); err != nil {
		return err
	}
	if lends {
		c.Lent.Bind(func(note []byte) { l.session.Note(remote, note) })
	}
	return nil
}

// encode returns c's message. Without one, be it for an error or a panic, the slot is free again.
func (p *Pool) encode(c *Call) (parts [][]byte, err error) {
	encoded := false
	defer func() {
		if !encoded {
			p.event(nil, func(now time.Duration) { p.state.finish(c, err, now) })
		}
	}()
	if parts, err = c.Encode(); err == nil && c.Ahead != nil {
		err = c.Ahead(c, c.on.session)
	}
	encoded = err == nil
	return parts, err
}

// ended is told by the session that c's function is over, or does not start.
func (p *Pool) ended(c *Call, l *live, r session.Result) {
	if p.config.Ends != nil && r.Started && !r.Lost {
		p.config.Ends(l.runner.id, l.inst)
	}
	switch {
	case r.Started && !r.Lost && p.movesOn(c, l, r.Data):
	case r.Started && !r.Lost:
		p.answered(c, r.Data)
	case !r.Started:
		p.unstarted(c, l, r.Lost)
	default:
		p.lost(c, l)
	}
}

// unstarted has a call wait again that certainly did not start: its runner is lost, or refused it because it leaves.
func (p *Pool) unstarted(c *Call, l *live, lost bool) {
	p.event(nil, func(now time.Duration) {
		c.remote = new(session.Call)
		switch {
		case lost:
			p.state.died(l.runner, now)
		case !c.answered:
			p.state.leaving(l.runner, now)
		}
		p.state.again(c, now)
	})
}

// movesOn has a call run again whose runner says that it lost it, if it did not start or is to be retried.
func (p *Pool) movesOn(c *Call, l *live, reply []byte) (moves bool) {
	if p.config.Lost == nil {
		return false
	}
	lost, started := p.config.Lost(reply)
	if !lost {
		return false
	}
	p.event(nil, func(now time.Duration) {
		if moves = p.state.goOn(c, started, now); moves {
			c.remote = new(session.Call)
		}
	})
	return moves
}

// answered gives c what its runner said, unless c has another outcome by now.
func (p *Pool) answered(c *Call, reply []byte) {
	late := false
	p.event(nil, func(now time.Duration) {
		if c.deadline > 0 && now >= c.deadline { // the timer is late
			p.state.cancel(c, errDeadline, now)
		}
		if late = c.answered; !late {
			c.Reply = reply
		}
		p.state.finish(c, nil, now)
	})
	if !late {
		p.finish(c, nil)
	}
	p.close(c, reply, nil)
}

// lost gives c its outcome when it is known how its runner was lost, or has it run again. The slot is free at once.
func (p *Pool) lost(c *Call, l *live) {
	var tell func()
	p.event(nil, func(now time.Duration) {
		p.state.died(l.runner, now)
		answered, held := c.answered, c.Held && !c.closed
		c.remote = new(session.Call)
		if again := p.state.lose(c, now); again || answered && !held {
			return
		}
		var left time.Duration
		if c.deadline > 0 {
			left = max(c.deadline-now, 1)
		}
		tell = func() {
			err := l.lostError(left)
			p.finish(c, err)
			p.close(c, nil, err)
		}
		if !p.state.closed { // under the lock, so that Close waits for it
			p.wg.Go(tell)
			tell = nil
		}
	})
	if tell != nil { // what ends it is known at once
		tell()
	}
}

// Package pool is a bounded, elastic set of runners, seen from the parent. It moves bytes: what is in them it
// does not know. What it does is decided by a pure state; the pool adds the clock, the lock and the work.
package pool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/internal/session"
)

// Config says what a pool is like. Every field is set; Seed may be 0.
type Config struct {
	Name    string
	Backend backend.Backend

	Min, Max, MaxConcurrency int

	BootTimeout       time.Duration
	ShutdownTimeout   time.Duration
	IdleShutdownAfter time.Duration // negative: never

	// Spec says what to boot as the runner with this id.
	Spec func(id string) backend.Spec
	// Join connects to what was booted and shakes hands. ctx ends with BootTimeout.
	Join func(ctx context.Context, id string, inst backend.Instance) (*session.Session, error)

	Logger *slog.Logger
	Seed   uint64 // of the jitter between boots; 0 takes a random one
}

// Pool is a pool at work.
type Pool struct {
	config Config
	start  time.Time
	wg     sync.WaitGroup // a goroutine for each runner, and for what ends slowly
	cut    chan struct{}  // closed by Close: everything is to end now
	cutNow func()
	filled chan struct{} // one token when Min runners are up, or one could not boot

	mu      sync.Mutex // guards what follows; never held while anything may block
	state   *state
	live    map[*runner]*live
	timer   *time.Timer
	armed   time.Duration // when timer fires; 0: it does not
	failure error         // the first boot's that failed
	empty   chan struct{} // closed when the pool is closing and no runner is left
}

// Open boots Min runners and returns the pool. If one does not come up, the others are stopped, and the error
// is its *BootError.
func Open(ctx context.Context, c Config) (*Pool, error) {
	p := &Pool{
		config: c, start: time.Now().Add(-1), cut: make(chan struct{}), filled: make(chan struct{}, 1),
		live: make(map[*runner]*live), empty: make(chan struct{}),
	}
	p.cutNow = sync.OnceFunc(func() { close(p.cut) })
	if c.Seed == 0 {
		c.Seed = rand.Uint64()
	}
	rules := rules{min: c.Min, max: c.Max, slots: c.MaxConcurrency, idleAfter: c.IdleShutdownAfter}
	rules.jitter = rand.New(rand.NewPCG(c.Seed, 0)).Float64
	p.state = newState(rules, func() string { return fmt.Sprintf("%s-%08x", idPrefix(c.Name), rand.Uint32()) })
	p.timer = time.AfterFunc(time.Hour, p.tick)
	p.timer.Stop()
	p.event(nil, p.state.settle)
	if err := p.fill(ctx); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// idPrefix makes a runner's id tell its pool, in the letters that every engine allows.
func idPrefix(name string) string {
	id := make([]byte, 0, 40)
	for _, b := range []byte(name) {
		switch {
		case b >= 'a' && b <= 'z', b >= '0' && b <= '9' && len(id) > 0:
			id = append(id, b)
		case b >= 'A' && b <= 'Z':
			id = append(id, b|0x20)
		case len(id) > 0 && id[len(id)-1] != '-':
			id = append(id, '-')
		}
		if len(id) == cap(id) {
			break
		}
	}
	if len(id) == 0 {
		return "flame"
	}
	return string(id)
}

// fill waits until Min runners are up.
func (p *Pool) fill(ctx context.Context) error {
	for {
		p.mu.Lock()
		up, err := p.state.count[ready] >= p.config.Min, p.failure
		p.mu.Unlock()
		switch {
		case err != nil:
			return err
		case up:
			return nil
		}
		select {
		case <-p.filled:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Do runs c and returns when it has its outcome. ctx ends it.
func (p *Pool) Do(ctx context.Context, c *Call) error {
	c.synced = true
	p.admit(ctx, c)
	slot, over := p.waitForSlot(c)
	for ; !over; slot, over = p.waitForSlot(c) {
		if l, remote := p.send(c); remote != nil {
			l.session.Wait(remote)
		}
	}
	if slot { // it came together with the outcome
		p.event(nil, func(now time.Duration) { p.state.finish(c, now) })
	}
	if c.unhook != nil {
		c.unhook()
	}
	return c.Err
}

// Start takes c in and returns. An error means that it did not: c.Ended is not called then.
func (p *Pool) Start(ctx context.Context, c *Call) error {
	p.mu.Lock()
	closing := p.state.closing
	p.mu.Unlock()
	if closing {
		return ErrClosed
	}
	p.admit(ctx, c)
	return nil
}

// admit brings c into the state.
func (p *Pool) admit(ctx context.Context, c *Call) {
	c.remote = &c.first
	now := p.now()
	if c.Timeout > 0 {
		c.deadline = now + c.Timeout
	}
	if !c.Detached && ctx.Done() != nil {
		if d, ok := ctx.Deadline(); ok {
			if at := max(1, d.Sub(p.start)); c.deadline == 0 || at < c.deadline {
				c.deadline = at
			}
		}
		if ctx.Err() != nil {
			p.finish(c, &TimeoutError{Cause: causeOf(ctx)})
			return
		}
	}
	if c.deadline > 0 && c.deadline <= now {
		p.finish(c, &TimeoutError{Cause: errDeadline})
		return
	}
	p.event(c, func(now time.Duration) { p.state.arrive(c, now) })
	if !c.Detached && ctx.Done() != nil {
		p.watch(ctx, c)
	}
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
	done := c.done
	p.mu.Unlock()
	if done {
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

// now is the time since the pool was opened, at least 1 ns.
func (p *Pool) now() time.Duration { return time.Since(p.start) }

// event lets the state decide and does what it decided. self is the call whose caller does this, or nil.
func (p *Pool) event(self *Call, decide func(now time.Duration)) {
	var room [4]action
	p.mu.Lock()
	decide(p.now())
	actions := append(room[:0], p.state.take()...)
	for _, a := range actions {
		switch {
		case a.kind == boot:
			l := newLive(a.r)
			p.live[a.r] = l
			p.wg.Go(func() { p.run(l) }) // under the lock, so that Close waits for it or it is not begun
		case a.kind == retire:
			p.live[a.r].retire()
		case a.kind == grant:
			a.c.sent, a.c.on, a.c.Runner = false, p.live[a.r], a.r.id
			if a.c.synced && a.c != self {
				a.c.wakeLocked()
			}
		}
	}
	p.armLocked()
	p.signalLocked()
	p.mu.Unlock()
	for _, a := range actions {
		p.perform(a)
	}
}

// armLocked sets the one timer for the next thing that is due, if that is before what it is set for.
func (p *Pool) armLocked() {
	at, ok := p.state.due()
	if ok && (p.armed == 0 || at < p.armed) {
		p.armed = at
		p.timer.Reset(max(0, at-p.now()))
	}
}

func (p *Pool) tick() {
	p.mu.Lock()
	p.armed = 0
	p.mu.Unlock()
	p.event(nil, p.state.tick)
}

func (p *Pool) signalLocked() {
	if p.state.count[ready] >= p.config.Min || p.failure != nil {
		select {
		case p.filled <- struct{}{}:
		default:
		}
	}
	if p.state.closing && len(p.live) == 0 && p.state.line.n == 0 {
		select {
		case <-p.empty:
		default:
			close(p.empty)
		}
	}
}

func (p *Pool) perform(a action) {
	switch a.kind {
	case grant:
		if !a.c.synced { // else his own goroutine sends
			p.send(a.c)
		}
	case fail:
		p.finish(a.c, a.err)
	case cut:
		p.abandon(a.c, a.err)
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

// abandon gives c its outcome now. Its function is asked to end and keeps its slot until it has.
func (p *Pool) abandon(c *Call, err error) {
	p.finish(c, err)
	p.mu.Lock()
	sent, l, remote := c.sent, c.on, c.remote
	p.mu.Unlock()
	if sent { // else who sends it sees that it has its outcome
		p.letGo(l, remote, err)
	}
}

// letGo has the function end whose caller is not waiting any more. The runner keeps deadlines itself, so that the
// function learns the true reason.
func (p *Pool) letGo(l *live, remote *session.Call, err error) {
	if !errors.Is(err, context.DeadlineExceeded) {
		l.session.Cancel(remote)
	}
	l.session.Release(remote)
}

// send sends c to the runner that it has a slot of. It returns what was sent, or nil if there is nothing to wait for.
func (p *Pool) send(c *Call) (*live, *session.Call) {
	parts, err := p.encode(c)
	if err != nil {
		p.finish(c, err)
		return nil, nil
	}
	p.mu.Lock()
	l, remote, answered := c.on, c.remote, c.answered
	c.sent = !answered
	p.mu.Unlock()
	if answered { // its time was over while it was encoded
		p.event(nil, func(now time.Duration) { p.state.finish(c, now) })
		return nil, nil
	}
	var left time.Duration
	if c.deadline > 0 {
		left = max(1, c.deadline-p.now())
	}
	remote.Key, remote.Attended = c.Key, c.synced
	remote.Ended = func(r session.Result) { p.ended(c, l, r) }
	lends := c.Lent != nil && c.Lent.Lent()
	if lends {
		remote.Noted = c.Lent.Noted
	}
	if l.session.Send(remote, parts, left) != nil {
		p.ended(c, l, session.Result{Lost: true})
		return nil, nil
	}
	if lends {
		c.Lent.Bind(func(note []byte) { l.session.Note(remote, note) })
	}
	p.mu.Lock()
	answered = c.done
	p.mu.Unlock()
	if answered { // its time was over while it was sent
		p.letGo(l, remote, c.Err)
	}
	return l, remote
}

// encode returns c's message. Without one, be it for an error or a panic, the slot is free again.
func (p *Pool) encode(c *Call) (parts [][]byte, err error) {
	encoded := false
	defer func() {
		if !encoded {
			p.event(nil, func(now time.Duration) { p.state.finish(c, now) })
		}
	}()
	parts, err = c.Encode()
	encoded = err == nil
	return parts, err
}

// ended is told by the session that c's function is over, or does not start.
func (p *Pool) ended(c *Call, l *live, r session.Result) {
	switch {
	case !r.Lost:
		p.answered(c, r.Data)
	case !r.Started:
		p.event(nil, func(now time.Duration) {
			c.sent, c.remote = false, new(session.Call)
			p.state.lost(l.runner, now)
			p.state.again(c, now)
		})
	default:
		p.lost(c, l)
	}
}

// answered gives c what its runner said, unless c has another outcome by now.
func (p *Pool) answered(c *Call, reply []byte) {
	late := false
	p.event(nil, func(now time.Duration) {
		if c.deadline > 0 && now >= c.deadline { // the timer is late
			p.state.expire(c, errDeadline, now)
		}
		c.on.served++
		if late = c.answered; !late {
			c.Reply = reply
		}
		p.state.finish(c, now)
	})
	if !late {
		p.finish(c, nil)
	}
}

// lost gives c its outcome when it is known how its runner was lost. The slot is free at once.
func (p *Pool) lost(c *Call, l *live) {
	var tell func()
	p.event(nil, func(now time.Duration) {
		if !c.answered {
			tell = func() { p.finish(c, l.lostError()) }
		}
		p.state.lost(l.runner, now)
		p.state.finish(c, now)
		if tell != nil && !p.state.closed { // under the lock, so that Close waits for it
			p.wg.Go(tell)
			tell = nil
		}
	})
	if tell != nil { // what ends it is known at once
		tell()
	}
}

// Shutdown lets no new call in, waits for the others, and for the runners to leave. When ctx ends first, it
// closes the pool.
func (p *Pool) Shutdown(ctx context.Context) error {
	p.event(nil, p.state.shut)
	select {
	case <-p.empty:
		return p.Close()
	case <-ctx.Done():
		p.Close()
		return context.Cause(ctx)
	}
}

// Close ends every call and every runner. When it returns, nothing of the pool is left.
func (p *Pool) Close() error {
	p.event(nil, p.state.close)
	p.cutNow()
	p.wg.Wait()
	p.timer.Stop()
	return nil
}

package session

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/fleetinglambda/flame/internal/wire"
)

// Server is the runner's end: it gets calls, has them handled and answers.
type Server struct {
	*carrier
	// Stacks is asked where a call is, or for every goroutine if there is none. Set it before Serve, or parents get an
	// empty answer. It may be called from many goroutines at once and block.
	Stacks func(*Incoming) []byte
	// Cause reads why the parent has cancelled a call. Without it, the cause is context.Canceled. Set it before Serve.
	Cause func(why []byte) error
	// Room makes memory for n bytes of a message, whatever is in it. Without it, make does. Set it before Serve.
	Room func(n int) []byte

	limits Limits
	handle func(*Incoming)
	lease  *time.Timer // ends a session whose parent has been silent for too long; nil: the connection sees to that
	watch  watch       // of functions that run on the reading goroutine
	nonce  uint64      // tells the calls of this session from those of others in the process

	mu           sync.Mutex // guards what follows; never held across I/O or handle
	live         map[uint64]*Incoming
	residents    int // among live
	habits       map[uint64]habit
	draining     bool
	leaving      bool        // the parent was told
	over         bool        // contexts have been cancelled; no call starts any more
	deadlines    *time.Timer // fires at the first deadline of all calls, or before
	nextDeadline time.Time   // when it fires; zero: it does not
}

// Incoming is one call on the runner.
type Incoming struct {
	// Data is the whole message, and nobody else's.
	Data []byte

	server *Server
	in     arrival // until it is whole
	id     uint64
	key    uint64
	ctx    callContext
	notes  notes
	inline bool // runs on the reading goroutine, which flushes

	attempt  int
	detached bool
	resident bool
	alone    bool          // it is, and has started: it does not need the session
	over     chan struct{} // closed when a call that is alone is over
}

func newServer(c *carrier, l Limits) *Server {
	v := &Server{carrier: c, limits: l, nonce: rand.Uint64(), live: make(map[uint64]*Incoming), habits: make(map[uint64]habit)}
	v.in.Place = v.place
	v.out = newOutbox(c.conn, c.done, v.end)
	v.deadlines = time.AfterFunc(time.Hour, v.keepDeadlines)
	v.deadlines.Stop()
	v.watch.wake = make(chan struct{}, 1)
	return v
}

// Serve hands every call to handle until the session is over, and says why it is: nil if the parent had
// it drained. handle must call Reply once, may be called from many goroutines at once, and its calls may
// still run when Serve returns: their contexts are cancelled then.
func (v *Server) Serve(handle func(*Incoming)) error {
	v.handle = handle
	if _, watched := v.conn.(returning); !watched {
		v.lease = time.AfterFunc(v.limits.Silence, v.checkLease)
		defer v.lease.Stop()
	}
	defer v.deadlines.Stop()
	v.wg.Go(v.out.run)
	v.wg.Go(v.watchInline)
	v.wg.Go(v.read)
	<-v.done
	v.cancelAll()
	return v.err
}

// Wait returns when the functions of all calls have returned and nothing of the session is left.
func (v *Server) Wait() {
	v.wg.Wait()
}

// Close ends the session at once, without waiting for its calls.
func (v *Server) Close() error {
	v.end(ErrClosed)
	return nil
}

// cancelAll ends the contexts of all calls that need the session.
func (v *Server) cancelAll() {
	v.mu.Lock()
	v.over = true
	live := slices.Collect(maps.Values(v.live))
	live = slices.DeleteFunc(live, func(in *Incoming) bool { return in.alone })
	v.mu.Unlock()
	cause := v.lostCause()
	for _, in := range live {
		in.ctx.endFor(context.Canceled, cause, nil)
	}
	for _, in := range v.remaining() {
		in.notes.hand(nil)
	}
}

// keepDeadlines ends the contexts whose deadline has come.
func (v *Server) keepDeadlines() {
	now := time.Now()
	var due []*Incoming
	v.mu.Lock()
	v.nextDeadline = time.Time{}
	for _, in := range v.live {
		switch d := in.ctx.deadline; {
		case d.IsZero():
		case !d.After(now):
			due = append(due, in)
		default:
			v.armLocked(d)
		}
	}
	v.mu.Unlock()
	for _, in := range due {
		in.ctx.end(context.DeadlineExceeded)
	}
}

// armLocked sets the timer for a deadline, if that is before what it is set for.
func (v *Server) armLocked(d time.Time) {
	if v.nextDeadline.IsZero() || d.Before(v.nextDeadline) {
		v.nextDeadline = d
		v.deadlines.Reset(time.Until(d))
	}
}

// checkLease ends a session whose parent has sent nothing since the last time. The first time after a sign of life it has
// at least sent that, so the next is half as far away: a parent that has stopped is found after one and a half times its
// silence.
func (v *Server) checkLease() {
	if !v.heard.Swap(false) {
		v.end(fmt.Errorf("%w from the parent for %v", ErrSilent, v.limits.Silence))
		return
	}
	v.lease.Reset(v.limits.Silence / 2)
}

// read reads frames until the session is over or another goroutine has taken over.
func (v *Server) read() {
	v.out.flush() // what the goroutine before has held back
	for held := 0; ; {
		f, err := v.next()
		if err == nil {
			err = v.dispatch(f, &held)
		}
		switch {
		case err == errTakenOver:
			return
		case err != nil:
			v.end(err)
			return
		case held >= maxHeld || !v.in.Buffered():
			v.out.flush()
			held = 0
			if v.isIdle() {
				v.soon()
			}
		}
	}
}

// isIdle says whether no function runs.
func (v *Server) isIdle() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.live) == v.residents
}

// maxHeld is how many results of functions on the reading goroutine may wait to leave together.
const maxHeld = 32

func (v *Server) dispatch(f wire.Frame, held *int) error {
	switch f.Kind {
	case 0: // an interruption
		return nil
	case wire.Call:
		*held++
		return v.call(f)
	case wire.Chunk:
		return v.chunk(f)
	case wire.Cancel:
		v.cancelCall(f.Call, f.Payload)
		return nil
	case wire.Abandon:
		v.abandon(f.Call)
		return nil
	case wire.Note:
		return v.note(f)
	case wire.Ping:
		if v.lease != nil {
			v.lease.Reset(v.limits.Silence)
		}
		v.out.addFrame(wire.Pong, 0, nil)
		return nil
	case wire.Drain:
		v.drain()
		return nil
	case wire.Stacks:
		v.describe(f.Call)
		return nil
	default:
		return fmt.Errorf("%w: kind %d is not for a runner", wire.ErrCorrupt, f.Kind)
	}
}

func (v *Server) call(f wire.Frame) error {
	h, first, err := wire.CutCallHead(f.Payload)
	if err != nil {
		return err
	}
	if h.Size > v.limits.Message {
		return fmt.Errorf("a call of %d bytes is over the message limit of %d", h.Size, v.limits.Message)
	}
	in := &Incoming{server: v, id: f.Call, key: h.Key, attempt: h.Attempt, detached: h.Detached, resident: h.Resident}
	in.ctx.of = in
	if h.Left > 0 {
		in.ctx.deadline = time.Now().Add(h.Left)
	}
	in.in.begin(h.Size, first, v.Room)
	v.mu.Lock()
	_, twice := v.live[in.id]
	v.addLocked(in)
	over := v.over
	if h.Left > 0 {
		v.armLocked(in.ctx.deadline)
	}
	v.mu.Unlock()
	switch {
	case twice:
		return fmt.Errorf("%w: call %d came twice", wire.ErrCorrupt, in.id)
	case over:
		return ErrClosed
	}
	return v.startIfWhole(in)
}

// place says where a chunk belongs. It is called by whoever reads.
func (v *Server) place(call uint64, n int) []byte {
	v.mu.Lock()
	in := v.live[call]
	v.mu.Unlock()
	if in == nil {
		return nil
	}
	return in.in.room(n)
}

func (v *Server) chunk(f wire.Frame) error {
	v.mu.Lock()
	in := v.live[f.Call]
	v.mu.Unlock()
	if in == nil || !in.in.take(f) {
		return fmt.Errorf("%w: a chunk of call %d that nothing waits for", wire.ErrCorrupt, f.Call)
	}
	return v.startIfWhole(in)
}

// startIfWhole runs the call when its message is complete: here if its function has proven to be quick, else on a goroutine of its own.
func (v *Server) startIfWhole(in *Incoming) error {
	if !in.in.whole() {
		return nil
	}
	in.Data, in.in = in.in.data, arrival{}
	switch {
	case in.resident:
		v.wg.Go(func() { v.handle(in) })
	case in.detached:
		v.startAlone(in)
	case v.isQuick(in.key):
		return v.runInline(in)
	default:
		v.wg.Go(func() { v.run(in) })
	}
	return nil
}

// run runs one call and learns how long its function takes.
func (v *Server) run(in *Incoming) {
	start := time.Now()
	v.handle(in)
	v.learn(in.key, time.Since(start))
}

// abandon forgets a call whose message will not be completed.
func (v *Server) abandon(id uint64) {
	v.mu.Lock()
	in := v.live[id]
	v.removeLocked(in)
	v.mu.Unlock()
	if in != nil {
		in.ctx.end(context.Canceled)
	}
	v.leaveIfDrained()
}

func (v *Server) drain() {
	v.mu.Lock()
	v.draining = true
	v.mu.Unlock()
	v.leaveIfDrained()
}

// leaveIfDrained ends a draining session that has no call left, after its last result has left.
func (v *Server) leaveIfDrained() {
	v.mu.Lock()
	leave := v.draining && len(v.live) == 0
	v.draining = v.draining && !leave // only one leaves
	v.mu.Unlock()
	if leave {
		v.wg.Go(func() {
			v.out.wait()
			v.end(nil)
		})
	}
}

// Attempt says which run of the call this is.
func (in *Incoming) Attempt() int { return in.attempt }

// Detached says whether the function goes on when the session is over.
func (in *Incoming) Detached() bool { return in.detached }

// Key names the code of the call's function.
func (in *Incoming) Key() uint64 { return in.key }

// Context is the context of the call's function: it ends at the call's deadline, when the
// parent cancels the call, when the session is over, and when the call has been answered.
func (in *Incoming) Context() context.Context { return &in.ctx }

// Reply answers the call. Its slot is free then: the function must be over.
func (in *Incoming) Reply(parts [][]byte) {
	v := in.server
	in.notes.end()
	m := in.result(parts, false)
	v.out.add(m)
	in.ctx.end(context.Canceled)
	v.mu.Lock()
	v.removeLocked(in)
	drained := v.draining && len(v.live) == 0
	v.mu.Unlock()
	if !in.inline {
		v.out.deliver(m)
	}
	if drained {
		v.leaveIfDrained()
	}
}

package session

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/fleetinglambda/flame/internal/wire"
)

// Session is the parent's end: it sends calls and gets their results.
type Session struct {
	*carrier
	limits  Limits
	runner  Hello
	canStop bool          // a blocked read can be interrupted, so that callers may read
	resume  chan struct{} // one token: the background reader has the role and should read
	leaving chan struct{} // closed by the reader when the runner says that it leaves

	mu       sync.Mutex // guards what follows; never held across I/O or Ended
	calls    map[uint64]*Call
	lastID   uint64
	resident int               // among calls
	asked    map[uint64]*asked // by call: who waits for stacks
	hearing  hearing
	draining bool // the runner is to leave with the last call
	refusing bool // it has said that it leaves
	reader   reader
	caller   *Call // who reads, if reader is callerReads
	used     bool  // a call has come or gone since look was set
	look     *time.Timer
	looking  bool // look is set
}

// reader says who has the role of reading the connection.
type reader uint8

const (
	nobodyReads reader = iota // for a moment only: the next caller takes the role, or look gives it away
	callerReads
	backgroundReads
)

// lookAfter is how long a connection without calls may stay unread before the background reader takes it.
const lookAfter = 10 * time.Millisecond

// Limits bound what the other side can make this one do.
type Limits struct {
	Message int64         // the largest message, in bytes
	Beat    time.Duration // how often a Session asks whether its runner is there
	Silence time.Duration // how long the other side may say nothing

	Room func(n int) []byte // makes memory for n bytes of a message, whatever is in it; nil: make does
}

// DefaultLimits are those of a connection on one machine, where the death of a process closes the
// connection and only a stopped one is silent. That is found at most 15 s after its last sign of life.
var DefaultLimits = Limits{Message: 1 << 30, Beat: 5 * time.Second, Silence: 10 * time.Second}

func newSession(c *carrier, runner Hello, l Limits) *Session {
	_, canStop := c.conn.(interruptible)
	s := &Session{
		carrier: c, limits: l, runner: runner, canStop: canStop,
		resume: make(chan struct{}, 1), leaving: make(chan struct{}),
		calls: make(map[uint64]*Call), asked: make(map[uint64]*asked), reader: backgroundReads,
	}
	s.in.Place = s.place
	s.out = newOutbox(c.conn, c.done, s.end)
	s.look = time.AfterFunc(time.Hour, s.lookIdle)
	s.look.Stop()
	s.resume <- struct{}{}
	s.wg.Go(s.out.run)
	s.wg.Go(s.readBackground)
	if _, watched := c.conn.(returning); !watched {
		s.wg.Go(s.beat)
	}
	return s
}

// Runner is what the runner said of itself when it joined.
func (s *Session) Runner() Hello { return s.runner }

// Drain tells the runner to leave once no call is left. No call may be sent after it.
func (s *Session) Drain() {
	s.mu.Lock()
	s.draining = true
	s.mu.Unlock()
	s.leaveIfDrained()
}

// leaveIfDrained sends the runner away when the last call is over, and what is resident with it.
func (s *Session) leaveIfDrained() {
	s.mu.Lock()
	leave := s.draining && s.callsLocked() == 0
	s.draining = s.draining && !leave // it is told once
	s.mu.Unlock()
	if leave {
		s.evict()
		s.out.addFrame(wire.Drain, 0, nil)
		s.out.flush()
	}
}

// Close ends the session; calls that are not over are lost. It returns when nothing of the session is
// left, and must therefore not be called from Ended. Closing twice does nothing more.
func (s *Session) Close() error {
	s.end(ErrClosed)
	s.wg.Wait()
	return nil
}

// end ends the session and every call with it.
func (s *Session) end(err error) {
	s.carrier.end(err)
	s.mu.Lock()
	s.look.Stop()
	lost := slices.SortedFunc(maps.Values(s.calls), func(a, b *Call) int { return cmp.Compare(a.id, b.id) })
	s.mu.Unlock()
	for _, c := range lost {
		s.finish(c, Result{Lost: true, Started: s.out.mayHaveLeft(&c.out)})
	}
}

// beat asks for a sign of life now and then and ends the session when none comes.
func (s *Session) beat() {
	tick := time.NewTicker(s.limits.Beat)
	defer tick.Stop()
	silent := time.Duration(0)
	for {
		select {
		case <-s.done:
			return
		case <-tick.C:
		}
		if silent += s.limits.Beat; s.heard.Swap(false) {
			silent = 0
		}
		if silent >= s.limits.Silence {
			s.end(fmt.Errorf("%w from the runner for %v", ErrSilent, silent))
			return
		}
		s.out.addFrame(wire.Ping, 0, nil)
		s.out.flush()
	}
}

// handle does what a frame says.
func (s *Session) handle(f wire.Frame) error {
	switch f.Kind {
	case 0, wire.Pong: // an interruption; a sign of life
		return nil
	case wire.Result:
		return s.result(f)
	case wire.Chunk:
		return s.chunk(f)
	case wire.Note:
		return s.note(f)
	case wire.Leave:
		s.leave()
		return nil
	case wire.Stacks:
		s.told(f)
		return nil
	case wire.Tell:
		s.hear(f)
		return nil
	default:
		return fmt.Errorf("%w: kind %d is not for a parent", wire.ErrCorrupt, f.Kind)
	}
}

func (s *Session) result(f wire.Frame) error {
	h, first, err := wire.CutResultHead(f.Payload)
	if err != nil {
		return err
	}
	if h.Size > s.limits.Message {
		return fmt.Errorf("a result of %d bytes is over the message limit of %d", h.Size, s.limits.Message)
	}
	s.mu.Lock()
	c := s.calls[f.Call]
	s.mu.Unlock()
	if c == nil || c.in.data != nil {
		return fmt.Errorf("%w: a result of call %d, which is not waiting for one", wire.ErrCorrupt, f.Call)
	}
	if h.Held && (c.Held == nil || c.held) {
		return fmt.Errorf("%w: call %d cannot be held", wire.ErrCorrupt, f.Call)
	}
	if (h.Held || c.out.large) && !s.out.mayHaveLeft(&c.out) {
		return fmt.Errorf("%w: a result of call %d, of which a part is still here", wire.ErrCorrupt, f.Call)
	}
	c.holding = h.Held
	c.in.begin(h.Size, first, s.limits.Room)
	return s.completed(c)
}

func (s *Session) chunk(f wire.Frame) error {
	s.mu.Lock()
	c := s.calls[f.Call]
	s.mu.Unlock()
	if c == nil || !c.in.take(f) {
		return fmt.Errorf("%w: a chunk of call %d that nothing waits for", wire.ErrCorrupt, f.Call)
	}
	return s.completed(c)
}

// place says where a chunk belongs. It is called by whoever reads.
func (s *Session) place(call uint64, n int) []byte {
	s.mu.Lock()
	c := s.calls[call]
	s.mu.Unlock()
	if c == nil {
		return nil
	}
	return c.in.room(n)
}

// note gives a note to the call that it is about.
func (s *Session) note(f wire.Frame) error {
	s.mu.Lock()
	c := s.calls[f.Call]
	s.mu.Unlock()
	if c == nil || c.Noted == nil {
		return fmt.Errorf("%w: a note for call %d, which has lent nothing", wire.ErrCorrupt, f.Call)
	}
	c.Noted(f.Payload)
	return nil
}

// completed finishes c if its whole result is there.
func (s *Session) completed(c *Call) error {
	switch {
	case !c.in.whole():
	case c.holding:
		s.hold(c)
	default:
		s.finish(c, Result{Data: c.in.data, Started: true})
	}
	return nil
}

// hold gives c the result that is not its last, and lets its sender go.
func (s *Session) hold(c *Call) {
	r := Result{Data: c.in.data, Started: true}
	c.in, c.held = arrival{}, true
	if !s.isLive(c) {
		return
	}
	c.Held(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	c.released = true
	s.wakeLocked(c)
}

// finish gives c its result, unless it has one.
func (s *Session) finish(c *Call, r Result) {
	s.mu.Lock()
	live := s.calls[c.id] == c
	if live {
		s.resident -= c.residents()
	}
	delete(s.calls, c.id)
	s.used = true
	draining := s.draining
	s.mu.Unlock()
	if !live {
		return
	}
	if c.out.large {
		s.out.drop(&c.out) // its parts are their owner's again
	}
	c.Ended(r)
	s.mu.Lock()
	c.over = true
	s.wakeLocked(c)
	s.mu.Unlock()
	if draining {
		s.leaveIfDrained()
	}
}

var _ io.Closer = (*Session)(nil)

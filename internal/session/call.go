package session

import (
	"time"

	"github.com/fleetinglambda/flame/internal/wire"
)

// Call is one call as the parent's end sees it. It is used for one Send.
type Call struct {
	// Ended is called exactly once after a Send without error, when the function is over on the runner,
	// or certainly does not start any more, or the session is lost. It is called from any goroutine,
	// under no lock, and must not block.
	Ended func(Result)
	// Held is called before Ended, once or never, when the function has returned something that stays with the runner until
	// Ended: notes go on. It is called like Ended. Without it such a result ends the session.
	Held func(Result)
	// Number is what its owner knows the call by. It stays on this side.
	Number uint64
	// Key names the function's code, so that the runner can learn how long it takes. 0 is no name.
	Key uint64
	// Noted is given what the call's runner notes, in order. It is called by whoever reads the connection, and must
	// neither block nor keep the note. Without it notes end the session.
	Noted func(note []byte)
	// Attempt says which run of the call this is, for the runner to tell.
	Attempt int
	// Detached has the function go on when the session is over.
	Detached bool
	// Resident says that the call is no call: it stays with the runner, under its Key, until it is cancelled, and the session
	// does not stay for it.
	Resident bool
	// Attended says that the goroutine that sends goes on to Wait.
	Attended bool

	in      arrival // the result so far
	holding bool    // that result is not the last
	held    bool    // Held has been called
	head    [wire.CallHeadSize]byte

	// Guarded by the session's lock.
	id       uint64        // 0: not sent
	out      message       // guarded by the outbox while it is in there
	over     bool          // Ended has returned
	released bool          // Wait may return although it is not over
	wake     chan struct{} // for a waiter who does not read
}

// Result is how a call ended.
type Result struct {
	Data    []byte // what the runner answered
	Lost    bool   // the session was lost before the end was reported
	Started bool   // false: the function certainly did not start
}

// Send sends a call. left is the time that the function has, 0 if it has no deadline. The parts of the
// message may be the caller's own memory until the call has ended or was released. Send does not wait for
// a slow connection. It fails only if the session is over or the runner leaves; then the call did not start.
func (s *Session) Send(c *Call, parts [][]byte, left time.Duration) error {
	out := message{kind: wire.Call, parts: parts}
	for _, p := range parts {
		out.size += int64(len(p))
	}
	out.head = wire.AppendCallHead(c.head[:0], wire.CallHead{
		Size: out.size, Left: left, Key: c.Key, Attempt: c.Attempt, Detached: c.Detached, Resident: c.Resident,
	})

	s.mu.Lock()
	if err := s.closedLocked(); err != nil {
		s.mu.Unlock()
		return err
	}
	c.out = out
	s.lastID++
	c.id, c.out.call = s.lastID, s.lastID
	s.calls[c.id] = c
	s.resident += c.residents()
	s.used = true
	s.out.add(&c.out)
	if !c.Attended && s.reader == nobodyReads {
		s.readInBackgroundLocked()
	}
	s.mu.Unlock()
	if !c.Attended || !c.out.large { // else whoever sends writes it in Wait
		s.out.flush()
	}
	return nil
}

// Note sends a note to the runner of a call that has been sent; it arrives after the call and in the order of notes. Its
// length is at most wire.MaxPayload. A call that is over takes none.
func (s *Session) Note(c *Call, note []byte) {
	if s.isLive(c) {
		s.out.addFrame(wire.Note, c.id, note)
		s.out.flush()
	}
}

// Cancel asks the runner to cancel the context of the call's function. Ended comes when the function
// is really over, or at once if it has not been sent completely: then it does not start. A call that
// has not been sent or has ended stays as it is.
func (s *Session) Cancel(c *Call) { s.CancelFor(c, nil) }

// Release lets the goroutine in Wait(c) go although the function may still run, and lets go of the
// message's parts. A call that has not been sent completely ends with that: it does not start.
func (s *Session) Release(c *Call) {
	if s.isLive(c) {
		s.takeBack(c)
	} else {
		s.out.drop(&c.out)
	}
	s.mu.Lock()
	c.released = true
	if s.caller == c {
		s.conn.(interruptible).SetReadDeadline(time.Unix(1, 0))
	}
	s.wakeLocked(c)
	s.mu.Unlock()
}

// isLive says whether c has been sent and is not over.
func (s *Session) isLive(c *Call) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return c.id != 0 && s.calls[c.id] == c
}

// takeBack ends a call whose message has not left completely.
func (s *Session) takeBack(c *Call) bool {
	if !s.out.drop(&c.out) {
		return false
	}
	s.out.addFrame(wire.Abandon, c.id, nil)
	s.out.flush()
	s.finish(c, Result{})
	return true
}

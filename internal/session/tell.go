package session

import (
	"bytes"
	"context"

	"github.com/fleetinglambda/flame/internal/wire"
)

// maxUnheard is how many bytes are kept that the runner has told before anybody hears them.
const maxUnheard = 1 << 20

// hearing is what a Session does with what its runner tells beside calls.
type hearing struct {
	heed    func(c *Call, told []byte)
	unheard [][]byte // before there was heed
	bytes   int      // of unheard
}

// Hear gives heed all that the runner tells beside calls, in order, also what it has told already. c is the call that it is
// about; nil: none, or one that is over. heed is called by whoever reads the connection, and must neither block nor keep
// what is told, which may be any bytes.
func (s *Session) Hear(heed func(c *Call, told []byte)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, told := range s.hearing.unheard {
		heed(nil, told)
	}
	s.hearing = hearing{heed: heed}
}

// hear takes what the runner tells.
func (s *Session) hear(f wire.Frame) {
	s.mu.Lock()
	h, c := &s.hearing, s.calls[f.Call]
	heed := h.heed
	if heed == nil && h.bytes+len(f.Payload) <= maxUnheard {
		h.unheard = append(h.unheard, bytes.Clone(f.Payload))
		h.bytes += len(f.Payload)
	}
	s.mu.Unlock()
	if heed != nil {
		heed(c, f.Payload)
	}
}

// Tell tells the parent something about the call; it arrives before the answer if it is told before. Its length is at most
// wire.MaxPayload. After the answer it is about no call.
func (in *Incoming) Tell(what []byte) { in.server.tell(in.id, what) }

// Tell tells the parent something that is about no call. Its length is at most wire.MaxPayload.
func (v *Server) Tell(what []byte) { v.tell(0, what) }

// TellFor is Tell about the call whose function has ctx, or one made from it. With any other context it is about no call.
func (v *Server) TellFor(ctx context.Context, what []byte) {
	if in := v.callOf(ctx); in != nil {
		in.Tell(what)
		return
	}
	v.Tell(what)
}

// callOf returns the call whose function has ctx, or one made from it; nil if there is none.
func (v *Server) callOf(ctx context.Context) *Incoming {
	if ctx == nil {
		return nil
	}
	if in, _ := ctx.Value(ofCall{}).(*Incoming); in != nil && in.server == v {
		return in
	}
	return nil
}

// Of returns the id of the call, of all that come over the same connection, whose function has ctx, or one made from it. With
// any other context it is 0.
func (in *Incoming) Of(ctx context.Context) uint64 {
	if of := in.server.callOf(ctx); of != nil {
		return of.id
	}
	return 0
}

// NumberOf returns the Number of the call with an id; 0 if it is over, or there was none.
func (s *Session) NumberOf(id uint64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.calls[id]; c != nil {
		return c.Number
	}
	return 0
}

// ofCall is the key of the call that a context belongs to.
type ofCall struct{}

func (v *Server) tell(id uint64, what []byte) {
	v.out.addFrame(wire.Tell, id, what)
	v.out.flush()
}

// Backlog is how many bytes wait to be written to the parent.
func (v *Server) Backlog() int { return v.out.backlog() }

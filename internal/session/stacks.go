package session

import (
	"bytes"
	"context"

	"github.com/fleetinglambda/flame/internal/wire"
)

// asked is a question for stacks that waits for its answer.
type asked struct {
	answered chan struct{} // closed by the reader
	text     []byte        // set before
}

// Stacks asks the runner for the stacks of the goroutines that c's function runs on, as runtime.Stack writes them, or
// with nil for those of all its goroutines. At most 64 KiB come; nothing does if the runner has no such call.
func (s *Session) Stacks(ctx context.Context, c *Call) ([]byte, error) {
	a, id, first := s.ask(c)
	if first {
		s.out.addFrame(wire.Stacks, id, nil)
		s.out.flush()
	}
	select {
	case <-a.answered:
		return bytes.Clone(a.text), nil
	case <-s.done:
		return nil, s.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// ask joins those who wait for the same answer.
func (s *Session) ask(c *Call) (a *asked, id uint64, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c != nil {
		id = c.id
	}
	if a = s.asked[id]; a != nil {
		return a, id, false
	}
	a = &asked{answered: make(chan struct{})}
	if s.asked[id] = a; c != nil && id == 0 { // not sent
		s.answerLocked(id, nil)
		return a, id, false
	}
	if s.reader == nobodyReads {
		s.readInBackgroundLocked()
	}
	return a, id, true
}

// told gives an answer to those who wait for it.
func (s *Session) told(f wire.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answerLocked(f.Call, bytes.Clone(f.Payload))
}

func (s *Session) answerLocked(id uint64, text []byte) {
	if a := s.asked[id]; a != nil {
		delete(s.asked, id)
		a.text = text
		close(a.answered)
	}
}

// describe answers where a call is.
func (v *Server) describe(id uint64) {
	v.mu.Lock()
	in := v.live[id]
	v.mu.Unlock()
	v.wg.Go(func() {
		var text []byte
		if v.Stacks != nil && (in != nil || id == 0) {
			text = v.Stacks(in)
		}
		v.out.addFrame(wire.Stacks, id, text[:min(len(text), wire.MaxPayload)])
		v.out.flush()
	})
}

// Mark is a pair of numbers that no other call in this process has.
func (in *Incoming) Mark() [2]uint64 { return [2]uint64{in.server.nonce, in.id} }

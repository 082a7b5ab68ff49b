package session

import (
	"errors"

	"github.com/fleetinglambda/flame/internal/wire"
)

// ErrLeaving is the error of a call for a runner that has said that it leaves.
var ErrLeaving = errors.New("the runner is leaving")

// Leave tells the parent that this runner takes no more calls. Those it has, and those that are on their way, go on;
// when the last one is over, Serve returns nil. Saying it twice changes nothing.
func (v *Server) Leave() {
	v.mu.Lock()
	told := v.leaving
	v.leaving = true
	v.mu.Unlock()
	if !told {
		v.out.addFrame(wire.Leave, 0, nil)
		v.out.flush()
	}
}

// Leaving is closed when the runner has said that it takes no more calls. The session drains it by itself.
func (s *Session) Leaving() <-chan struct{} { return s.leaving }

// leave refuses calls from now on and sends the runner away when those it has are over.
func (s *Session) leave() {
	s.mu.Lock()
	twice := s.refusing
	s.refusing = true
	s.mu.Unlock()
	if twice {
		return
	}
	close(s.leaving)
	s.Drain()
}

// closedLocked says why no call can be sent.
func (s *Session) closedLocked() error {
	if err := s.Err(); err != nil {
		return err
	}
	if s.refusing {
		return ErrLeaving
	}
	return nil
}

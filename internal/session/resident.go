package session

import (
	"maps"
	"slices"

	"github.com/fleetinglambda/flame/internal/wire"
)

// What is resident stays with the runner for calls that come later. It travels as a call does and may borrow as one does, but
// it takes part in nothing that is done for calls: a session that has nothing else is idle, and one that drains does not
// wait for it.

// residents is 1 for what is resident, else 0.
func (c *Call) residents() int {
	if c.Resident {
		return 1
	}
	return 0
}

// callsLocked is how many calls are not over, without what is resident.
func (s *Session) callsLocked() int { return len(s.calls) - s.resident }

// evict has everything end that is resident.
func (s *Session) evict() {
	s.mu.Lock()
	left := slices.DeleteFunc(slices.Collect(maps.Values(s.calls)), func(c *Call) bool { return !c.Resident })
	s.mu.Unlock()
	for _, c := range left {
		if !s.takeBack(c) {
			s.out.addFrame(wire.Cancel, c.id, nil)
		}
	}
}

// Resident says that there is no function to run: what has come stays, under its Key, until its context ends.
func (in *Incoming) Resident() bool { return in.resident }

func (v *Server) addLocked(in *Incoming) {
	v.live[in.id] = in
	if in.resident {
		v.residents++
	}
}

// removeLocked forgets a call, which may be nil.
func (v *Server) removeLocked(in *Incoming) {
	if in == nil || v.live[in.id] != in {
		return
	}
	delete(v.live, in.id)
	if in.resident {
		v.residents--
	}
}

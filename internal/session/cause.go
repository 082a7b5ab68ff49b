package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/fleetinglambda/flame/internal/wire"
)

// CancelFor is Cancel with a cause, in bytes that the other side can read: see Server.Cause.
func (s *Session) CancelFor(c *Call, why []byte) {
	if len(why) > wire.MaxPayload {
		why = nil
	}
	if s.isLive(c) && !s.takeBack(c) {
		s.out.addFrame(wire.Cancel, c.id, why)
		s.out.flush()
	}
}

// cancelCall ends the context of a call that its parent has cancelled.
func (v *Server) cancelCall(id uint64, why []byte) {
	v.mu.Lock()
	in := v.live[id]
	v.mu.Unlock()
	if in == nil {
		return
	}
	if len(why) == 0 {
		in.ctx.end(context.Canceled)
		return
	}
	why = bytes.Clone(why)
	var cause error
	if v.Cause != nil {
		cause = v.Cause(why)
	}
	in.ctx.endFor(context.Canceled, cause, why)
}

// Why is the cause of the call's end as the parent has packed it; nil if it has not.
func (in *Incoming) Why() []byte {
	in.ctx.mu.Lock()
	defer in.ctx.mu.Unlock()
	return in.ctx.why
}

// errDrained is the cause of calls that are left when a session has been drained.
var errDrained = errors.New("the runner was told to leave")

// lostCause is the cause of calls that need the session, when it is over.
func (v *Server) lostCause() error {
	if v.err == nil {
		return errDrained
	}
	return fmt.Errorf("the connection to the parent is over: %w", v.err)
}

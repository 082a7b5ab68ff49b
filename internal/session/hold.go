package session

import (
	"context"

	"github.com/fleetinglambda/flame/internal/wire"
)

// Hold answers the call, which goes on: Reply is still to come. It is called once at most, when the function has
// returned something that the parent uses from now on. The deadline was the function's; the context lives on without it,
// unless it is kept, until the parent cancels the call or the session is over, also for a call that is detached: there is
// nobody else who could use what it has returned. Hold waits for a slow connection.
func (in *Incoming) Hold(parts [][]byte, keepDeadline bool) {
	v := in.server
	v.mu.Lock()
	if !keepDeadline {
		in.ctx.lift()
	}
	in.alone = false
	over := v.over
	v.mu.Unlock()
	if over {
		in.ctx.end(context.Canceled)
		return
	}
	m := in.result(parts, true)
	v.out.add(m)
	v.out.leave(m)
}

// result is the message that answers a call.
func (in *Incoming) result(parts [][]byte, held bool) *message {
	m := &message{kind: wire.Result, call: in.id, parts: parts}
	for _, p := range parts {
		m.size += int64(len(p))
	}
	m.head = wire.AppendResultHead(make([]byte, 0, wire.ResultHeadSize), wire.ResultHead{Size: m.size, Held: held})
	return m
}

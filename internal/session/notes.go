package session

import (
	"bytes"
	"sync"

	"github.com/fleetinglambda/flame/internal/wire"
)

// notes are what the two ends of one call tell each other while its function runs.
type notes struct {
	in    sync.Mutex // guards heed and early; held while a note is handed over, so that they stay in order
	heed  func(note []byte)
	early [][]byte // that came before anybody heeded

	out  sync.Mutex // guards over
	over bool       // the call is answered
}

// Listen gives heed every note of the parent about this call, in order, also those that have come already. It is
// called by whoever reads the connection, and must neither block nor keep the note. An empty one says that the session is
// over, and the call goes on without it.
func (in *Incoming) Listen(heed func(note []byte)) {
	n := &in.notes
	n.in.Lock()
	defer n.in.Unlock()
	for _, note := range n.early {
		heed(note)
	}
	n.heed, n.early = heed, nil
}

// hand gives a note to who heeds, or keeps it until somebody does. nil says that no more notes come.
func (n *notes) hand(note []byte) {
	n.in.Lock()
	defer n.in.Unlock()
	if n.heed == nil {
		n.early = append(n.early, bytes.Clone(note))
		return
	}
	n.heed(note)
}

// Note sends a note to the parent; it arrives before the answer. Its length is at most wire.MaxPayload. After the
// answer there is nobody to tell: Note returns false.
func (in *Incoming) Note(note []byte) bool {
	n := &in.notes
	n.out.Lock()
	over := n.over
	if !over {
		in.server.out.addFrame(wire.Note, in.id, note)
	}
	n.out.Unlock()
	if !over {
		in.server.out.flush()
	}
	return !over
}

// Backlog is how many bytes wait to be written to the parent, of all calls together.
func (in *Incoming) Backlog() int { return in.server.out.backlog() }

// Room waits until at most so many bytes wait to be written to the parent, or the session is over.
func (in *Incoming) Room(backlog int) { in.server.out.waitFor(backlog) }

// end has no note follow the answer.
func (n *notes) end() {
	n.out.Lock()
	defer n.out.Unlock()
	n.over = true
}

// note hands a note over. A call that is over has nobody who heeds it.
func (v *Server) note(f wire.Frame) error {
	v.mu.Lock()
	in := v.live[f.Call]
	v.mu.Unlock()
	if in == nil {
		return nil
	}
	in.notes.hand(f.Payload)
	return nil
}

package lend

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"weak"

	"github.com/fleetinglambda/flame/internal/codec"
)

// Held makes, on the parent, what stands in for what the result of one call has lent. Whoever has that is the only one who
// does: what he loses without closing it is closed. The runner may send anything. Owner is set before it is used.
type Held struct {
	Owner Holder

	mu     sync.Mutex // guards what follows
	send   func(note []byte)
	early  [][]byte // notes, until the call was sent
	things []standing
	over   error // why nothing can be used any more
	lost   bool  // something was lost without being closed
}

// standing is one thing that stands in.
type standing struct {
	stream weak.Pointer[borrowedStream]
	closed bool
}

// Holder does for a Held what is its call's to do.
type Holder interface {
	Abandoned()     // something was lost without being closed; it is called once and must not block
	Fail(err error) // ends the call
}

// Borrow is for the codec: it returns what stands in for what Lend of a Returned has been given.
func (h *Held) Borrow(ref []byte, as reflect.Type) (any, error) {
	number, n := binary.Uvarint(ref)
	shape := shapeOf(as)
	if n <= 0 || len(ref) != n+2 || kind(ref[n]) != aStream || as.Kind() != reflect.Interface || shape&closes == 0 || number < returnedFrom {
		return nil, errNote
	}
	s := h.stream(number, ref[n+1] == 1)
	if s == nil {
		return nil, errNote
	}
	return shaped[shape](s), nil
}

// stream returns the one with a number, which is a new one if it is the next; nil if it can be neither.
func (h *Held) stream(number uint64, seeks bool) *borrowedStream {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch i := int(min(number-returnedFrom, maxReturned)); {
	case i < len(h.things):
		return h.things[i].stream.Value()
	case i > len(h.things) || i == maxReturned:
		return nil
	}
	s := newBorrowedStream(h, number, seeks, codec.Untrusted)
	s.closed = func() { h.close(number) }
	if h.over != nil {
		s.over = h.over
	}
	runtime.AddCleanup(s, h.lose, number)
	h.things = append(h.things, standing{stream: weak.Make(s)})
	return s
}

// Any says whether anything stands in.
func (h *Held) Any() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.things) > 0
}

// Bind is called when the call was sent to a runner; send reaches that runner.
func (h *Held) Bind(send func(note []byte)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, n := range h.early {
		send(n)
	}
	h.send, h.early = send, nil
}

// Note sends a note. It is called with the lock of a stream held, so End must not be called from in here.
func (h *Held) Note(n []byte) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.over != nil:
		return false
	case h.send == nil:
		h.early = append(h.early, append([]byte(nil), n...))
	default:
		h.send(n)
	}
	return true
}

// Noted takes a note of the runner, which may be any bytes, and says whether it is about what a result has lent.
func (h *Held) Noted(n []byte) bool {
	number, o, payload, err := cutNote(n)
	if err != nil || number < returnedFrom {
		return false
	}
	var s *borrowedStream
	h.mu.Lock()
	if i := number - returnedFrom; i < uint64(len(h.things)) {
		s = h.things[i].stream.Value()
	}
	h.mu.Unlock()
	if s == nil { // it has been lost
		return true
	}
	if s.heed(o, payload); s.isOver(errNote) {
		h.Owner.Fail(errNote)
	}
	return true
}

// isOver says whether err is why nothing can be done with a stream.
func (s *borrowedStream) isOver(err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over == err
}

// errLost is why a call is ended of whose result nobody has anything.
var errLost = errors.New("what the call has returned was lost without being closed")

// close notes that a thing was closed, or could not be, for which there is a reason then.
func (h *Held) close(number uint64) {
	h.mu.Lock()
	ends := h.closeLocked(number)
	h.mu.Unlock()
	if ends {
		h.Owner.Fail(errLost)
	}
}

// closeLocked says whether the call is to be ended, because it goes on only for what was lost.
func (h *Held) closeLocked(number uint64) bool {
	h.things[number-returnedFrom].closed = true
	return h.over == nil && h.lost && !slices.ContainsFunc(h.things, func(t standing) bool { return !t.closed })
}

// lose is called when nobody has a thing any more.
func (h *Held) lose(number uint64) {
	h.mu.Lock()
	if h.over != nil || h.things[number-returnedFrom].closed {
		h.mu.Unlock()
		return
	}
	if !h.lost {
		h.lost = true
		h.Owner.Abandoned()
	}
	ends := h.closeLocked(number)
	if !ends && h.send != nil {
		h.send(packRequest(nil, number, aClose, 1, 0))
	}
	h.mu.Unlock()
	if ends {
		h.Owner.Fail(errLost)
	}
}

// End is called when the call is really over. What has not been closed cannot be used any more because of err; without one,
// all has been closed.
func (h *Held) End(err error) {
	if err == nil {
		err = fs.ErrClosed
	}
	h.mu.Lock()
	if h.over != nil {
		h.mu.Unlock()
		return
	}
	h.over = err
	things := slices.Clone(h.things)
	h.mu.Unlock()
	for _, t := range things {
		if s := t.stream.Value(); s != nil {
			s.end(err)
		}
	}
}

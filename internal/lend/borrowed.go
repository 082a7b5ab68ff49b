package lend

import (
	"context"
	"encoding/binary"
	"errors"
	"runtime"
	"strings"
	"sync"
)

// errOver is the error of a stream that something left behind by the function still uses.
var errOver = errors.New("the call that this was lent to is over")

// borrowedStream stands in for a stream of the parent. What the function gets has its methods one by one: see shaped.
// They may be called by several goroutines at once. Notes are sent with mu held, so that they are in order.
type borrowedStream struct {
	link   Link
	number uint64
	seeks  bool // what reads it also moves what is written and sought

	mu      sync.Mutex // guards what follows
	changed sync.Cond  // something has
	over    error      // nothing can be done any more

	epoch    uint64  // of the reading
	begun    bool    // the parent reads
	chunks   []chunk // that have come; the first perhaps read in part
	unread   int     // bytes in them
	consumed uint64  // bytes that the function has read
	told     uint64  // of these, what the parent knows of
	ending   error   // after the chunks
	along    bool    // it has come along with the last of them

	writing   bool // somebody is in write
	unwritten int  // what has been written and not been acknowledged
	failed    error
	failures  uint64
	dirty     bool // written since the parent has said that all is written

	requests map[uint64]*wanted
	lastID   uint64
}

// chunk is what has come of a stream.
type chunk struct {
	data   []byte
	buffer *buffer
}

// wanted is what has been asked of the parent.
type wanted struct {
	into   []byte // where bytes go
	done   bool
	number int64
	err    error
}

// stream stands in for a stream of the parent. It ends with the call's context, too, so that a cancelled function does
// not wait for the parent.
func (b *Borrower) stream(number uint64, details []byte) (t borrowed, err error) {
	if len(details) != 1 {
		return t, errNote
	}
	s := &borrowedStream{link: b.Link, number: number, seeks: details[0] == 1, epoch: 1}
	s.changed.L = &s.mu
	ctx := b.Link.Context()
	stop := context.AfterFunc(ctx, func() { s.end(context.Cause(ctx)) })
	return borrowed{value: s, heed: s.heed, settle: s.settle, end: func() {
		stop()
		s.end(errOver)
	}}, nil
}

// heed takes what the parent notes.
func (s *borrowedStream) heed(o op, payload []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over != nil {
		return
	}
	ok := true
	switch o {
	case read, failed:
		ok = s.heedReadLocked(o, payload)
	case wrote:
		n, size := binary.Uvarint(payload)
		ok = size > 0 && n <= uint64(s.unwritten)
		s.unwritten -= int(n)
	case unwritten:
		s.failed = errors.Join(s.failed, unpackError(payload))
	case answered:
		ok = s.heedAnswerLocked(payload)
	}
	if !ok {
		s.endLocked(errNote)
	}
	s.changed.Broadcast()
}

// heedReadLocked takes what was read. What was read before the function did something else is not wanted any more.
func (s *borrowedStream) heedReadLocked(o op, payload []byte) bool {
	epoch, n := binary.Uvarint(payload)
	if n <= 0 {
		return false
	}
	data := payload[n:]
	var ending error
	if o == failed {
		size, m := binary.Uvarint(data)
		if m <= 0 || size > uint64(len(data)-m) {
			return false
		}
		if epoch == s.epoch {
			ending = unpackError(data[m+int(size):])
		}
		data = data[m:][:size]
	}
	if epoch != s.epoch || !s.begun || s.ending != nil {
		return true
	}
	if s.unread += len(data); s.unread > window {
		return false
	}
	if len(data) > 0 {
		kept, b := keep(data)
		s.chunks = append(s.chunks, chunk{kept, b})
	}
	s.ending, s.along = ending, len(data) > 0
	return true
}

func (s *borrowedStream) heedAnswerLocked(payload []byte) bool {
	id, a, ok := cutAnswer(payload)
	w := s.requests[id]
	if !ok || w == nil || len(a.data) > len(w.into) {
		return false
	}
	copy(w.into, a.data)
	w.done, w.number, w.err = true, a.number, unpackResult(a.err)
	delete(s.requests, id)
	return true
}

// end has everything fail that waits or comes. Chunks that have come are not given out any more.
func (s *borrowedStream) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endLocked(err)
}

func (s *borrowedStream) endLocked(err error) {
	s.over = err
	s.dropLocked()
	clear(s.requests)
	s.changed.Broadcast()
}

// dropLocked forgets what has been read ahead.
func (s *borrowedStream) dropLocked() {
	for _, c := range s.chunks {
		c.buffer.free()
	}
	s.chunks, s.unread, s.ending = nil, 0, nil
	s.epoch++
	s.begun = false
}

// tellLocked sends a note.
func (s *borrowedStream) tellLocked(o op, numbers ...uint64) {
	n := appendNote(nil, s.number, o)
	for _, i := range numbers {
		n = binary.AppendUvarint(n, i)
	}
	s.link.Note(n)
}

func (s *borrowedStream) read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.over != nil:
			return 0, s.over
		case len(b) == 0:
			return 0, nil
		case len(s.chunks) > 0:
			n := s.copyLocked(b)
			if len(s.chunks) == 0 && s.ending != nil && s.along {
				return n, s.endingLocked()
			}
			s.askLocked()
			return n, nil
		case s.ending != nil:
			return 0, s.endingLocked()
		case !s.begun:
			s.begun, s.told = true, s.consumed
			s.tellLocked(asked, s.epoch, s.consumed)
		}
		s.changed.Wait()
	}
}

// copyLocked gives out what has come.
func (s *borrowedStream) copyLocked(b []byte) (n int) {
	for len(s.chunks) > 0 && n < len(b) {
		c := &s.chunks[0]
		m := copy(b[n:], c.data)
		n += m
		if c.data = c.data[m:]; len(c.data) == 0 {
			c.buffer.free()
			*c = chunk{}
			s.chunks = s.chunks[1:]
		}
	}
	s.unread -= n
	s.consumed += uint64(n)
	return n
}

// askLocked lets the parent read on, when that is worth a note.
func (s *borrowedStream) askLocked() {
	if s.consumed-s.told >= window/2 && s.ending == nil {
		s.told = s.consumed
		s.tellLocked(asked, s.epoch, s.consumed)
	}
}

// endingLocked gives out the error that the parent has got. Who reads on has it read again.
func (s *borrowedStream) endingLocked() error {
	err := s.ending
	s.ending, s.begun = nil, false
	s.epoch++
	return err
}

// stopReadingLocked has the parent be where the function is, not where it has read ahead.
func (s *borrowedStream) stopReadingLocked() {
	if s.seeks && (s.begun || s.told != s.consumed) {
		s.told = s.consumed
		s.tellLocked(back, s.consumed)
		s.dropLocked()
		s.changed.Broadcast() // who waits in read asks again
	}
}

func (s *borrowedStream) write(b []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.writing && s.over == nil {
		s.changed.Wait()
	}
	s.writing = true
	for first := true; err == nil && (first || n < len(b)); first = false {
		var m int
		m, err = s.writePieceLocked(b[n:])
		n += m
	}
	s.writing = false
	s.changed.Broadcast()
	return n, err
}

// writePieceLocked sends what fits a note, when the parent takes it.
func (s *borrowedStream) writePieceLocked(b []byte) (int, error) {
	b = b[:min(len(b), room)]
	for s.over == nil && s.failed == nil && s.unwritten+cost(b) > window {
		s.changed.Wait()
	}
	if s.over != nil {
		return 0, s.over
	}
	if s.failed != nil {
		return 0, s.failureLocked()
	}
	s.stopReadingLocked()
	buffer := newBuffer()
	n := binary.AppendUvarint(appendNote(buffer[:0], s.number, write), s.failures)
	s.link.Note(append(n, b...))
	buffer.free()
	s.unwritten += cost(b)
	s.dirty = true
	return len(b), nil
}

// failureLocked gives out the error of a Write of the parent. It writes on what the function writes from now on.
func (s *borrowedStream) failureLocked() error {
	err := s.failed
	if err != nil {
		s.failed = nil
		s.failures++
	}
	return err
}

// requestLocked asks the parent for something and waits for the answer, without the lock. What is written comes first.
func (s *borrowedStream) requestLocked(v verb, into []byte, args ...byte) (int64, error) {
	for s.over == nil && len(s.requests) >= maxRequests {
		s.changed.Wait()
	}
	if s.over != nil {
		return 0, s.over
	}
	if s.requests == nil {
		s.requests = make(map[uint64]*wanted)
	}
	w := &wanted{into: into}
	s.lastID++
	s.requests[s.lastID] = w
	buffer := newBuffer()
	n := packRequest(buffer[:0], s.number, v, s.lastID, s.failures)
	s.link.Note(append(n, args...))
	buffer.free()
	for s.over == nil && !w.done {
		s.changed.Wait()
	}
	if !w.done {
		return 0, s.over
	}
	return w.number, w.err
}

func (s *borrowedStream) seek(offset int64, whence int) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopReadingLocked()
	at, err := s.requestLocked(aSeek, nil, binary.AppendVarint(binary.AppendVarint(nil, offset), int64(whence))...)
	if failed := s.failureLocked(); failed != nil && s.over == nil {
		return 0, failed
	}
	return at, err
}

func (s *borrowedStream) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopReadingLocked()
	_, err := s.requestLocked(aClose, nil)
	if s.over == nil {
		s.dropLocked()
	}
	if failed := s.failureLocked(); failed != nil {
		return errors.Join(failed, err)
	}
	return err
}

func (s *borrowedStream) readAt(b []byte, off int64) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for first := true; err == nil && (first || n < len(b)); first = false {
		piece := b[n:][:min(len(b)-n, room)]
		args := binary.AppendUvarint(binary.AppendVarint(nil, off+int64(n)), uint64(len(piece)))
		var m int64
		m, err = s.requestLocked(aReadAt, piece, args...)
		if n += int(m); int(m) < len(piece) {
			break
		}
	}
	return n, err
}

func (s *borrowedStream) writeAt(b []byte, off int64) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for first := true; err == nil && (first || n < len(b)); first = false {
		piece := b[n:][:min(len(b)-n, room)]
		s.stopReadingLocked()
		var m int64
		m, err = s.requestLocked(aWriteAt, nil, append(binary.AppendVarint(nil, off+int64(n)), piece...)...)
		if n += int(m); int(m) < len(piece) {
			break
		}
	}
	return n, err
}

// settle waits until the parent has written what the function wrote, and puts back what it has not read.
func (s *borrowedStream) settle(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over != nil {
		return nil // who writes has been told
	}
	s.stopReadingLocked()
	if !s.dirty {
		return nil
	}
	s.dirty = false
	_, err := s.requestLocked(aFlush, nil)
	return errors.Join(err, s.failureLocked())
}

// Advice says what to do about a panic of a function that used something borrowed; "" if it was about something else.
// Where the compiler has seen what is in a variable, it calls the methods of that type, not the interface's.
func Advice(panicked any) string {
	err, ok := panicked.(*runtime.TypeAssertionError)
	if !ok || !strings.Contains(err.Error(), "lend.lent") {
		return ""
	}
	return ": on a runner a captured reader or writer is not what it was on the parent, but the compiler saw what was assigned to the " +
		"variable and calls that type directly: assign it to a field, as in in := struct{ io.Reader }{file}, and capture that"
}

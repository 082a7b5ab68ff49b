package lend

import (
	"encoding/binary"
	"errors"
)

// wanted is what has been asked of the parent.
type wanted struct {
	written uint64 // notes of what was written that are done with when it is answered
	into    []byte // where bytes go
	most    int64  // how many the number can be, if it is one of bytes; else -1
	done    bool   // number and err are set
	number  int64
	err     error
}

// requestLocked asks the parent for something and waits for the answer, without the lock. What is written comes first.
func (s *borrowedStream) requestLocked(v verb, args ...byte) (int64, error) {
	return s.awaitLocked(v, &wanted{most: -1, written: s.written}, args)
}

// pieceLocked asks for something that is done with up to most bytes, and returns with how many. Others are asked for and
// done meanwhile.
func (s *borrowedStream) pieceLocked(v verb, most int, into []byte, args ...byte) (int, error) {
	n, err := s.awaitLocked(v, &wanted{into: into, most: int64(most)}, args)
	return int(n), err
}

func (s *borrowedStream) awaitLocked(v verb, w *wanted, args []byte) (int64, error) {
	for s.over == nil && len(s.requests) >= maxRequests {
		s.waitLocked()
	}
	if s.over != nil {
		return 0, s.over
	}
	if v != aReadAt && v != aClose { // which may have to end a Read
		s.stopReadingLocked()
	}
	if s.requests == nil {
		s.requests = make(map[uint64]*wanted)
	}
	s.lastID++
	s.requests[s.lastID] = w
	buffer := newBuffer()
	n := packRequest(buffer[:0], s.number, v, s.lastID, s.failures)
	s.link.Note(append(n, args...))
	buffer.free()
	for s.over == nil && !w.done {
		s.waitLocked()
	}
	if !w.done {
		return 0, s.over
	}
	s.done = max(s.done, w.written)
	return w.number, w.err
}

// heedAnswerLocked takes what came of a request.
func (s *borrowedStream) heedAnswerLocked(payload []byte) bool {
	id, a, ok := cutAnswer(payload)
	w := s.requests[id]
	if !ok || w == nil || len(a.data) > len(w.into) || w.most >= 0 && (a.number < 0 || a.number > w.most) {
		return false
	}
	copy(w.into, a.data)
	w.done, w.number = true, a.number
	if len(a.err) > 0 {
		w.err = unpackErrorOf(a.err, s.trust)
	}
	delete(s.requests, id)
	return true
}

// seek seeks from where the function is.
func (s *borrowedStream) seek(offset int64, whence int) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, err := s.requestLocked(aSeek, binary.AppendVarint(binary.AppendVarint(nil, offset), int64(whence))...)
	if failed := s.failureLocked(); failed != nil && s.over == nil {
		return 0, failed
	}
	return at, err
}

// close closes when all is written. What was read ahead is not given out after it.
func (s *borrowedStream) close() error {
	err := s.closeThere()
	if s.closed != nil {
		s.closed()
	}
	return err
}

func (s *borrowedStream) closeThere() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.requestLocked(aClose)
	if s.over == nil {
		s.stopReadingLocked()
		s.dropLocked()
	}
	failed := s.failureLocked()
	switch {
	case failed == nil:
		return err
	case err == nil:
		return failed
	}
	return errors.Join(failed, err)
}

// readAt reads in pieces that fit a note.
func (s *borrowedStream) readAt(b []byte, off int64) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for first := true; err == nil && (first || n < len(b)); first = false {
		piece := b[n:][:min(len(b)-n, room)]
		args := binary.AppendUvarint(binary.AppendVarint(nil, off+int64(n)), uint64(len(piece)))
		var m int
		m, err = s.pieceLocked(aReadAt, len(piece), piece, args...)
		if n += m; m < len(piece) {
			break
		}
	}
	return n, err
}

// writeAt writes in pieces that fit a note.
func (s *borrowedStream) writeAt(b []byte, off int64) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for first := true; err == nil && (first || n < len(b)); first = false {
		piece := b[n:][:min(len(b)-n, room)]
		var m int
		m, err = s.pieceLocked(aWriteAt, len(piece), nil, append(binary.AppendVarint(nil, off+int64(n)), piece...)...)
		if n += m; m < len(piece) {
			break
		}
	}
	return n, err
}

package lend

import "encoding/binary"

// write sends b. It waits while too much is on its way.
func (s *borrowedStream) write(b []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.writing && s.over == nil {
		s.waitLocked()
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
		s.waitLocked()
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
	s.written++
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

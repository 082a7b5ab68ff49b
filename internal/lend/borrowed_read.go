package lend

import "encoding/binary"

// chunk is what has come of a stream.
type chunk struct {
	data   []byte
	buffer *buffer
}

// takeLocked adds what has come, small pieces to one another.
func (s *borrowedStream) takeLocked(data []byte) {
	if len(data) == 0 {
		return
	}
	if last := len(s.chunks) - 1; last >= 0 && cap(s.chunks[last].data)-len(s.chunks[last].data) >= len(data) {
		s.chunks[last].data = append(s.chunks[last].data, data...)
		return
	}
	b := newBuffer()
	s.chunks = append(s.chunks, chunk{append(b[:0], data...), b})
}

// read reads what has come, and waits for it if nothing has.
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
			s.askLocked(3 * room)
			return n, nil
		case s.ending != nil:
			return 0, s.endingLocked()
		case !s.begun:
			s.begun, s.told = true, s.consumed
			s.tellLocked(asked, s.epoch, s.consumed)
		}
		s.waitLocked()
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

// askLocked lets the parent read on when the function has read so many bytes since the last time.
func (s *borrowedStream) askLocked(least uint64) {
	if s.consumed-s.told >= least && s.ending == nil {
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

// dropLocked forgets what has been read ahead.
func (s *borrowedStream) dropLocked() {
	for _, c := range s.chunks {
		c.buffer.free()
	}
	s.chunks, s.unread, s.ending = nil, 0, nil
	s.epoch++
	s.begun = false
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
			ending = unpackErrorOf(data[m+int(size):], s.trust)
		}
		data = data[m:][:size]
	}
	if epoch != s.epoch || !s.begun || s.ending != nil {
		return true
	}
	if s.unread += len(data); s.unread > window {
		return false
	}
	s.takeLocked(data)
	s.ending, s.along = ending, len(data) > 0
	s.askLocked(2 * room) // rather than the function, which has other things to do
	return true
}

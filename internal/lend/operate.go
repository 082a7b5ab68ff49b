package lend

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"time"
)

// maxEmpty is how often in a row a Read may return nothing and no error.
const maxEmpty = 100

// read reads and sends up to n bytes.
func (s *stream) read(epoch uint64, n int) {
	b := newBuffer()
	note := appendNote(b[:0], s.number, read)
	note = binary.AppendUvarint(note, epoch)
	m, err := s.readSome(b[len(note):][:n])

	s.mu.Lock()
	stale := s.ended || s.epoch != epoch
	if !stale || s.seeks {
		s.ahead += int64(m)
	}
	s.ended = s.ended || err != nil && !stale
	s.mu.Unlock()
	switch {
	case stale:
		b.free()
	case err != nil:
		s.desk.tell(s.last(epoch, b[len(note):][:m], err))
		b.free()
	default:
		s.desk.tellBuffer(b, len(note)+m)
	}
}

// last is the note of a Read with an error, and the bytes that came with it.
func (s *stream) last(epoch uint64, data []byte, err error) []byte {
	text := packError(err)
	if len(data)+len(text) > maxNote-noteHead {
		s.desk.tell(note(s.number, read, append(binary.AppendUvarint(nil, epoch), data...)...))
		data = nil
	}
	n := binary.AppendUvarint(appendNote(nil, s.number, failed), epoch)
	n = binary.AppendUvarint(n, uint64(len(data)))
	return append(append(n, data...), text...)
}

// readSome reads at least a byte, or there is an error.
func (s *stream) readSome(b []byte) (n int, err error) {
	for range maxEmpty {
		if n, err = s.readOnce(b); n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}

func (s *stream) readOnce(b []byte) (n int, err error) {
	defer s.caught("Read", &err)
	m, err := s.value.(io.Reader).Read(b)
	return s.count("Read", m, len(b), err)
}

// count checks what a method says of how many bytes it has dealt with.
func (s *stream) count(method string, n, most int, err error) (int, error) {
	if n < 0 || n > most {
		return 0, fmt.Errorf("the %s of a %T returned a count of %d for %d bytes", method, s.value, n, most)
	}
	return n, err
}

// caught is deferred: a method of the program that panics is an error of the method.
func (s *stream) caught(method string, err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("the %s of a %T panicked: %v", method, s.value, p)
	}
}

// do does what the runner has asked for.
func (s *stream) do(o operation) {
	switch o.verb {
	case aWrite:
		s.write(o)
	case aBack:
		s.putBack()
	case aReadAt, aWriteAt:
		s.mu.Lock()
		s.besidesLocked(o)
		s.mu.Unlock()
	default:
		s.answer(o)
	}
}

// besidesLocked does and answers a request while others are done, too.
func (s *stream) besidesLocked(o operation) {
	s.goLocked(func() { s.answer(o) })
}

// write writes, unless an error of a former Write is not known to the function yet.
func (s *stream) write(o operation) {
	s.mu.Lock()
	lost := o.epoch < s.failures
	s.mu.Unlock()
	var err error
	if !lost {
		_, err = s.writeAll("Write", o.data, func(b []byte) (int, error) { return s.value.(io.Writer).Write(b) })
	}
	n := cost(o.data)
	o.buffer.free()
	s.mu.Lock()
	if err != nil {
		s.failures++
	}
	s.taken += n
	if n = s.taken; n >= window/4 {
		s.taken = 0
	}
	s.mu.Unlock()
	if err != nil {
		s.desk.tell(note(s.number, unwritten, packError(err)...))
	}
	if n >= window/4 {
		s.desk.tell(note(s.number, wrote, binary.AppendUvarint(nil, uint64(n))...))
	}
}

// writeAll is a Write or WriteAt: that too little was written is an error.
func (s *stream) writeAll(method string, b []byte, write func([]byte) (int, error)) (n int, err error) {
	defer s.caught(method, &err)
	m, err := write(b)
	if n, err = s.count(method, m, len(b), err); err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return n, err
}

// answer does what is asked for and says what came of it.
func (s *stream) answer(o operation) {
	b := newBuffer()
	defer b.free()
	var r reply
	var err error
	switch o.verb {
	case aSeek:
		r.number, err = s.seek(o)
	case aClose:
		err = s.close()
	case aReadAt:
		r.data, err = s.readAt(b[:o.n], o.off)
		r.number = int64(len(r.data))
	case aWriteAt:
		var n int
		n, err = s.writeAll("WriteAt", o.data, func(b []byte) (int, error) { return s.value.(io.WriterAt).WriteAt(b, o.off) })
		r.number = int64(n)
		o.buffer.free()
	}
	s.mu.Lock()
	s.asking--
	s.mu.Unlock()
	r.err = packResult(err)
	said := outgoing{note: packAnswer(s.number, o.id, r)}
	if o.verb == aClose && s.desk.closed != nil {
		said.sent = func() { s.desk.closed(s.number) }
	}
	s.desk.tellOne(said)
}

// seek seeks, unless an error of a former Write is not known to the function yet: that is what Seek returns then.
func (s *stream) seek(o operation) (at int64, err error) {
	s.mu.Lock()
	lost := o.epoch < s.failures
	s.mu.Unlock()
	if lost {
		return 0, nil
	}
	defer s.caught("Seek", &err)
	return s.value.(io.Seeker).Seek(o.off, o.n)
}

func (s *stream) close() (err error) {
	defer s.caught("Close", &err)
	return s.value.(io.Closer).Close()
}

func (s *stream) readAt(b []byte, off int64) (data []byte, err error) {
	defer s.caught("ReadAt", &err)
	n, err := s.value.(io.ReaderAt).ReadAt(b, off)
	n, err = s.count("ReadAt", n, len(b), err)
	return b[:n], err
}

// putBack puts what can seek to just behind what the function has read.
func (s *stream) putBack() {
	s.mu.Lock()
	by, closed := s.consumed-s.ahead, s.closed
	s.ahead = s.consumed
	s.mu.Unlock()
	if by == 0 || !s.seeks {
		return
	}
	if err := s.seekBy(by); err != nil && !closed {
		s.desk.Owner.Fail(fmt.Errorf("put a %T back by %d bytes that its function has not read: %w", s.value, -by, err))
	}
}

func (s *stream) seekBy(n int64) (err error) {
	defer s.caught("Seek", &err)
	_, err = s.value.(io.Seeker).Seek(n, io.SeekCurrent)
	return err
}

// canSeek says whether something has an offset, which not everything has that has a Seek.
func canSeek(v any) bool {
	_, ok := v.(io.Seeker)
	return ok && (&stream{value: v}).seekBy(0) == nil
}

// neverWaits says whether Read of a value that cannot seek never waits for a Write, and the two must not be called at once.
func neverWaits(v any) bool {
	_, ok := v.(*bytes.Buffer)
	return ok
}

// setDeadline has a Read or a Write that waits return, or takes the deadline away again. Not everything that has
// deadlines has them always.
func (s *stream) setDeadline(method string, now bool) (err error) {
	deadline := time.Time{}
	if now {
		deadline = time.Unix(1, 0)
	}
	defer s.caught("SetDeadline", &err)
	reading, canRead := s.value.(interface{ SetReadDeadline(time.Time) error })
	writing, canWrite := s.value.(interface{ SetWriteDeadline(time.Time) error })
	both, can := s.value.(interface{ SetDeadline(time.Time) error })
	switch {
	case method == "Read" && canRead:
		return reading.SetReadDeadline(deadline)
	case method == "Write" && canWrite:
		return writing.SetWriteDeadline(deadline)
	case can:
		return both.SetDeadline(deadline)
	}
	return os.ErrNoDeadline
}

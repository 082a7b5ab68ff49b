package backend

// tailSize is how much of an instance's output is kept.
const tailSize = 64 << 10

// Tail keeps the last 64 KiB of what is written to it, for a [Teller]. It is used by one goroutine at a time.
type Tail struct {
	buf  []byte // grows to tailSize; from then on it is a ring
	next int    // where the oldest byte is, and the next one goes, in a ring
}

// Write never fails.
func (t *Tail) Write(b []byte) (int, error) {
	n := len(b)
	b = b[max(0, len(b)-tailSize):]
	grow := min(len(b), tailSize-len(t.buf))
	t.buf = append(t.buf, b[:grow]...)
	for b = b[grow:]; len(b) > 0; {
		done := copy(t.buf[t.next:], b)
		t.next = (t.next + done) % tailSize
		b = b[done:]
	}
	return n, nil
}

// Bytes returns them.
func (t *Tail) Bytes() []byte {
	return append(append([]byte(nil), t.buf[t.next:]...), t.buf[:t.next]...)
}

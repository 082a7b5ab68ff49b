package process

// tailSize is how much of a process's output is kept.
const tailSize = 64 << 10

// tail keeps the last tailSize bytes written to it.
type tail struct{ buf []byte }

// Write never fails.
func (t *tail) Write(b []byte) (int, error) {
	n := len(b)
	if len(b) > tailSize {
		b = b[len(b)-tailSize:]
	}
	if over := len(t.buf) + len(b) - tailSize; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	t.buf = append(t.buf, b...)
	return n, nil
}

func (t *tail) bytes() []byte { return append([]byte(nil), t.buf...) }

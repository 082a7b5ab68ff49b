package line

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// world is what the two ends of a line run over in these tests: pipes that can be cut.
type world struct {
	t          *testing.T
	near, far  *Line             // near dials
	cut        func(n int) []int // how many bytes the n-th connection carries there and back; nil: all
	unplugged  bool              // nobody can dial
	refuses    bool
	swallows   bool // new connections are holes
	mu         sync.Mutex
	dialled    int
	connection []net.Conn // both ends of the last one
}

var usual = Config{Silence: 5 * time.Second, Window: 10 * time.Second}

// connect returns two ends of a line. Both are closed in the end.
func (w *world) connect(t *testing.T, c Config) {
	w.t = t
	near, far := w.pipe()
	w.far = New(far, c)
	c.Dial = w.dial
	w.near = New(near, c)
	t.Cleanup(w.close)
}

// close closes both ends at once. Who reads hears of the other's end.
func (w *world) close() {
	var ends sync.WaitGroup
	for _, l := range []*Line{w.near, w.far} {
		ends.Go(func() { l.Close() })
	}
	ends.Wait()
}

// pipe returns both ends of the next connection.
func (w *world) pipe() (near, far net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	near, far = net.Pipe()
	if w.cut != nil {
		if carry := w.cut(w.dialled); carry != nil {
			near, far = &cutter{Conn: near, left: carry[0]}, &cutter{Conn: far, left: carry[1]}
		}
	}
	near, far = &hole{Conn: near, closed: w.swallows}, &hole{Conn: far, closed: w.swallows}
	w.dialled++
	w.connection = []net.Conn{near, far}
	return near, far
}

func (w *world) dial(ctx context.Context, received int64) (net.Conn, int64, error) {
	w.mu.Lock()
	unplugged, refuses := w.unplugged, w.refuses
	w.mu.Unlock()
	switch {
	case refuses:
		return nil, 0, ErrRefused
	case unplugged:
		return nil, 0, fmt.Errorf("unplugged: %w", os.ErrDeadlineExceeded)
	}
	near, far := w.pipe()
	var theirs int64
	err := w.far.Resume(far, received, func(mine int64) error {
		theirs = mine
		return nil
	})
	return near, theirs, err
}

// plug says whether connections can be made, and breaks the one that there is.
func (w *world) plug(in bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unplugged = !in
	for _, c := range w.connection {
		c.Close()
	}
}

// swallow has nothing more come from one end, or the other, over the connection that there is.
func (w *world) swallow(end int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.connection[end].(*hole).swallow()
}

func (w *world) dials() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dialled
}

// cutter breaks when it has carried so many bytes.
type cutter struct {
	net.Conn
	mu   sync.Mutex
	left int
}

func (c *cutter) Write(b []byte) (int, error) {
	c.mu.Lock()
	n := min(len(b), c.left)
	c.left -= n
	c.mu.Unlock()
	if n == len(b) {
		return c.Conn.Write(b)
	}
	n, _ = c.Conn.Write(b[:n])
	c.Close()
	return n, net.ErrClosed
}

// hole swallows what is written to it, like a network that has lost its way.
type hole struct {
	net.Conn
	mu     sync.Mutex
	closed bool
}

func (h *hole) swallow() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
}

func (h *hole) Write(b []byte) (int, error) {
	h.mu.Lock()
	swallows := h.closed
	h.mu.Unlock()
	if swallows {
		return len(b), nil
	}
	return h.Conn.Write(b)
}

// pattern returns bytes that tell their places.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i>>8 ^ i*7)
	}
	return b
}

// pour writes b in pieces of odd sizes.
func pour(w io.Writer, b []byte) error {
	for size := 1; len(b) > 0; size = (size*5 + 3) % 331 {
		n := min(size+1, len(b))
		if _, err := w.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

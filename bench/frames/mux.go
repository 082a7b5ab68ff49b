package frames

import (
	"encoding/binary"
	"errors"
	"net"
	"sync"
)

// Mux calls over one connection for any number of callers at once.
type Mux struct {
	conn net.Conn
	wg   sync.WaitGroup // read; Close waits for it
	free chan *waiter   // waiters that no call uses

	waiters []*waiter // by id

	mu      sync.Mutex // guards what follows; not held across a write
	pending []byte     // frames that wait for the writer
	spare   []byte     // the buffer that is not pending
	writing bool       // some caller is writing
	err     error      // why the connection is over
}

// waiter is a place where one call at a time waits for its answer.
type waiter struct {
	id       uint64
	answered chan error
}

// NewMux returns callers over conn, which it owns. At most limit calls run at a time; more wait for one to end.
func NewMux(conn net.Conn, limit int) *Mux {
	m := &Mux{conn: conn, free: make(chan *waiter, limit)}
	for id := range limit {
		w := &waiter{id: uint64(id), answered: make(chan error, 1)}
		m.waiters = append(m.waiters, w)
		m.free <- w
	}
	m.wg.Go(m.read)
	return m
}

// Call sends an empty frame and waits for the answer.
func (m *Mux) Call() error {
	w := <-m.free
	if err := m.send(w.id); err != nil {
		return err
	}
	err := <-w.answered
	m.free <- w
	return err
}

// send adds a frame. The first to find nobody writing writes for all the others too.
func (m *Mux) send(id uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pending = appendFrame(m.pending, id)
	if m.writing {
		return nil
	}
	m.writing = true
	for len(m.pending) > 0 && m.err == nil {
		out := m.pending
		m.pending = m.spare[:0]
		m.mu.Unlock()
		_, err := m.conn.Write(out)
		m.mu.Lock()
		m.spare, m.err = out, err
	}
	m.writing = false
	return m.err
}

// read wakes the callers whose answers have come.
func (m *Mux) read() {
	buf, have := make([]byte, bufferSize), 0
	for {
		n, err := m.conn.Read(buf[have:])
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			panic(err) // the callers would wait for ever
		}
		rest := eachFrame(buf[:have+n], func(frame []byte) { m.waiters[idOf(frame)].answered <- nil })
		have = copy(buf, rest)
	}
}

// Close closes the connection. No call may be running.
func (m *Mux) Close() error {
	err := m.conn.Close()
	m.wg.Wait()
	return err
}

func idOf(frame []byte) uint64 { return binary.LittleEndian.Uint64(frame) }

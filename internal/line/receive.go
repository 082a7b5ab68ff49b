package line

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
)

// parser is where in its frames the stream that comes is.
type parser struct {
	left       int    // of the frame's bytes
	buf        []byte // what is read to find a header, and, so that a small frame takes one read, what follows it
	start, end int    // of that, what has not been used
}

// readAhead is how much one read for a header may bring.
const readAhead = 4 << 10

// ackEvery is how much may come before the other end is told, if nothing else is sent to it.
const ackEvery = most / 4

// few is how much may come without ever being told: frames that themselves only tell.
const few = 8 * headerSize

// readHeader reads one header, or the rest of it, and does what it says.
func (l *Line) readHeader() error {
	in := &l.in
	if in.buf == nil {
		in.buf = make([]byte, readAhead)
	}
	if in.start+headerSize > len(in.buf) {
		in.start, in.end = 0, copy(in.buf, in.buf[in.start:in.end])
	}
	for in.end-in.start < headerSize {
		n, err := l.pull(in.buf[in.end:])
		if in.end += n; err != nil {
			return err
		}
	}
	h, err := readHeader((*[headerSize]byte)(in.buf[in.start:]))
	if err == nil {
		err = l.heed(h)
	}
	if err != nil {
		l.end(err)
		return err
	}
	in.start += headerSize
	in.left = h.length
	return nil
}

// readBytes reads some of a frame's bytes: those that are there already, or else none but them.
func (l *Line) readBytes(b []byte) (n int, err error) {
	in := &l.in
	b = b[:min(len(b), in.left)]
	if n = copy(b, in.buf[in.start:in.end]); n > 0 {
		in.start += n
	} else {
		n, err = l.pull(b)
	}
	if in.left -= n; in.start == in.end {
		in.start, in.end = 0, 0
	}
	return n, err
}

// heed does what a header says.
func (l *Line) heed(h header) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case h.received > l.kept.end:
		return fmt.Errorf("%w: the other end has received %d bytes of %d", ErrCorrupt, h.received, l.kept.end)
	case h.flags&leads != 0:
		return io.EOF
	case h.flags&asks != 0:
		l.calm = true
		l.oweLocked(0)
	}
	l.ackLocked(h.received)
	return nil
}

// ackLocked lets go of what the other end has.
func (l *Line) ackLocked(received int64) {
	full := l.kept.room() == 0
	if l.kept.release(received); full {
		l.changed.Broadcast()
	}
}

// pull reads from the connection, whichever it is.
func (l *Line) pull(b []byte) (int, error) {
	for {
		conn, err := l.connection()
		if err != nil {
			return 0, err
		}
		n, err := conn.Read(b)
		switch {
		case n > 0:
			if l.took(conn, n) {
				return n, nil // an error that came along is met again
			}
		case errors.Is(err, os.ErrDeadlineExceeded): // or it was lifted meanwhile
		case err != nil:
			l.drop(conn, err)
		}
	}
}

// connection returns the connection, which it waits for, unless the line is over or reading is called off.
func (l *Line) connection() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		switch {
		case l.err != nil:
			return nil, l.err
		case l.interrupted:
			return nil, os.ErrDeadlineExceeded
		case l.conn != nil:
			return l.conn, nil
		}
		l.changed.Wait()
	}
}

// took counts what a connection has brought. What comes from one that was replaced meanwhile counts for nothing: the other end
// knows that it has not come, and sends it again.
func (l *Line) took(conn net.Conn, n int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != conn {
		return false
	}
	l.received += int64(n)
	l.heard, l.asked = l.now(), false
	if l.fresh {
		l.fresh = false
		signal(l.turned)
	}
	untold := l.received - l.told
	if untold >= ackEvery || untold > few && l.heard-l.spoke > l.config.Silence/4 {
		l.oweLocked(0)
	}
	return true
}

// drop gives a connection up.
func (l *Line) drop(conn net.Conn, why error) {
	l.mu.Lock()
	if l.conn != conn || l.err != nil {
		l.mu.Unlock()
		return
	}
	if !l.fresh {
		l.away = l.now()
	}
	if errors.Is(why, io.EOF) || errors.Is(why, io.ErrUnexpectedEOF) {
		why = errors.New("the other side closed it")
	}
	l.conn, l.lost = nil, why
	over := (l.final || l.config.Window <= 0) && l.endLocked(l.lostLocked())
	signal(l.news)
	signal(l.turned)
	l.mu.Unlock()
	conn.Close()
	l.ended(over)
}

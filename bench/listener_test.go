package bench

import (
	"io"
	"net"
	"sync"
)

// oneListener accepts one connection, and io.EOF once that is closed.
type oneListener struct {
	net.Conn
	accepted bool
	closed   chan struct{} // closed by the connection's first Close
	once     sync.Once
}

func listenOne(conn net.Conn) *oneListener {
	return &oneListener{Conn: conn, closed: make(chan struct{})}
}

// Accept returns the connection, the first time.
func (l *oneListener) Accept() (net.Conn, error) {
	if !l.accepted {
		l.accepted = true
		return l, nil
	}
	<-l.closed
	return nil, io.EOF
}

// Close closes the connection, and so the listener.
func (l *oneListener) Close() error {
	defer l.once.Do(func() { close(l.closed) })
	return l.Conn.Close()
}

// Addr is the connection's own.
func (l *oneListener) Addr() net.Addr { return l.LocalAddr() }

//go:build unix

package main

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// line is a port that runners dial in place of their parent's. What goes through it can be cut and stalled.
type line struct {
	net.Listener
	to string // the parent's address
	wg sync.WaitGroup

	clear atomic.Int64 // when it carries again, in nanoseconds since 1970

	mu    sync.Mutex // guards what follows
	conns map[net.Conn]*atomic.Int64
}

func newLine() (*line, error) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	free.Close()
	l := &line{to: free.Addr().String(), conns: make(map[net.Conn]*atomic.Int64)}
	if l.Listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	l.wg.Go(l.accept)
	return l, nil
}

func (l *line) accept() {
	for {
		from, err := l.Accept()
		if err != nil {
			return
		}
		l.wg.Go(func() { l.connect(from) })
	}
}

func (l *line) connect(from net.Conn) {
	defer from.Close()
	to, err := net.Dial("tcp", l.to)
	if err != nil {
		return
	}
	defer to.Close()
	left := new(atomic.Int64)
	left.Store(1 << 60)
	l.mu.Lock()
	l.conns[from] = left
	l.mu.Unlock()
	var both sync.WaitGroup
	carry := func(to, from net.Conn) {
		defer to.Close()
		defer from.Close()
		l.carry(to, from, left)
	}
	both.Go(func() { carry(to, from) })
	both.Go(func() { carry(from, to) })
	both.Wait()
	l.mu.Lock()
	delete(l.conns, from)
	l.mu.Unlock()
}

// carry takes bytes along until left of them have gone.
func (l *line) carry(to io.Writer, from io.Reader, left *atomic.Int64) {
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		<-time.After(time.Until(time.Unix(0, l.clear.Load())))
		over := left.Add(int64(-n))
		if over < 0 {
			n = max(0, n+int(over))
		}
		if _, err := to.Write(buf[:n]); err != nil || over < 0 {
			return
		}
	}
}

// cut breaks all connections, each after so many bytes more.
func (l *line) cut(after int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, left := range l.conns {
		left.Store(int64(after))
	}
}

// stall has nothing arrive for a while.
func (l *line) stall(long time.Duration) { l.clear.Store(time.Now().Add(long).UnixNano()) }

func (l *line) end() {
	l.Close()
	l.mu.Lock()
	for conn := range l.conns {
		conn.Close()
	}
	l.mu.Unlock()
	l.wg.Wait()
}

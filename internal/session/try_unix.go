//go:build unix

package session

import (
	"io"
	"syscall"
)

// tryWriter returns a function that writes to conn as much as fits without waiting, or nil if conn
// is not a socket of the operating system. Only one goroutine at a time may call it.
func tryWriter(conn io.Writer) func([]byte) (int, error) {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	t := &tryOnce{raw: raw}
	t.do = t.write
	return t.try
}

// tryOnce holds the arguments of one write, so that a write allocates nothing.
type tryOnce struct {
	raw syscall.RawConn
	do  func(fd uintptr) bool
	buf []byte
	n   int
	err error
}

func (t *tryOnce) try(b []byte) (int, error) {
	t.buf = b
	err := t.raw.Write(t.do)
	t.buf = nil
	if err != nil {
		return 0, err
	}
	return t.n, t.err
}

// write reports true at once, whatever happened: false would mean to wait until the socket has room.
func (t *tryOnce) write(fd uintptr) bool {
	n, err := syscall.Write(int(fd), t.buf)
	for err == syscall.EINTR {
		n, err = syscall.Write(int(fd), t.buf)
	}
	if err == syscall.EAGAIN {
		err = nil
	}
	t.n, t.err = max(n, 0), err
	return true
}

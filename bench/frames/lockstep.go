package frames

import (
	"fmt"
	"io"
)

// Lockstep calls over a connection of its own: one frame there, one frame back. It is for one caller.
type Lockstep struct {
	conn io.ReadWriter
	next uint64
	buf  [HeaderSize]byte
}

// NewLockstep returns a caller over conn.
func NewLockstep(conn io.ReadWriter) *Lockstep { return &Lockstep{conn: conn} }

// Call sends an empty frame and waits for the answer.
func (l *Lockstep) Call() error {
	l.next++
	if _, err := l.conn.Write(appendFrame(l.buf[:0], l.next)); err != nil {
		return err
	}
	if _, err := io.ReadFull(l.conn, l.buf[:]); err != nil {
		return err
	}
	if id := idOf(l.buf[:]); id != l.next {
		return fmt.Errorf("call %d was answered with %d", l.next, id)
	}
	return nil
}

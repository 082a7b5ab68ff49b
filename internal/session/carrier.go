// Package session is one connection between a parent and a runner, carrying calls.
//
// The parent's end is a [Session], the runner's end a [Server]. Both run over any io.ReadWriteCloser. A
// connection that also has deadlines and a file descriptor (a socket) needs fewer hand-offs between
// goroutines: a waiting caller then reads the connection itself and writes without blocking.
package session

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetinglambda/flame/internal/wire"
)

// ErrClosed is the end of a session that was closed on this side.
var ErrClosed = errors.New("session closed")

// ErrSilent is the end of a session whose other side has said nothing for too long.
var ErrSilent = errors.New("no sign of life")

// carrier is what both ends share: the connection, frames in and out, and the end of it all.
type carrier struct {
	conn  io.ReadWriteCloser
	in    *wire.Reader   // used by whoever holds the role of reading
	out   *outbox        // from the end of the handshake on
	heard atomic.Bool    // something was read since it was last asked
	fast  fast           // the connection's fast ways; nil if it has none
	wg    sync.WaitGroup // every goroutine of this end

	ending sync.Once
	done   chan struct{} // closed by end
	err    error         // why the session ended; set before done is closed
}

func newCarrier(conn io.ReadWriteCloser) *carrier {
	c := &carrier{conn: conn, in: wire.NewReader(conn), done: make(chan struct{})}
	c.fast, _ = conn.(fast)
	return c
}

// Done is closed when the session is over.
func (c *carrier) Done() <-chan struct{} { return c.done }

// Err says why the session is over; nil while it is not.
func (c *carrier) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// end ends the session. The first reason is the one that counts.
func (c *carrier) end(err error) {
	c.ending.Do(func() {
		c.err = err
		close(c.done)
		c.conn.Close()
	})
}

// soon waits a moment for the next frame, if it is not there yet, in the way that is best for short waits.
func (c *carrier) soon() {
	if c.fast != nil && !c.in.Buffered() && !c.in.Amid() {
		c.fast.await()
	}
}

// next returns the next frame. An interruption comes back as a frame of kind 0.
func (c *carrier) next() (wire.Frame, error) {
	f, err := c.in.Next()
	switch {
	case err == nil:
		c.heard.Store(true)
		return f, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.conn.(interruptible).SetReadDeadline(time.Time{})
		return wire.Frame{}, nil
	case err == io.EOF:
		return f, errors.New("the other side closed the connection")
	default:
		return f, fmt.Errorf("read: %w", err)
	}
}

// fast is a connection that need not hand small things to another goroutine.
type fast interface {
	tryWrite(b [][]byte) (int, error) // writes what fits, one after the other, without waiting
	awaitRoom()                       // waits a moment until more fits
	waitRoom() error                  // waits until more fits
	await()                           // waits a moment for something to read
}

// interruptible is a connection whose Read can be called off from outside.
type interruptible interface {
	SetReadDeadline(t time.Time) error
}

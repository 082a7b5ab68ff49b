// Package line is a stream of bytes between two processes that outlives the connections it runs over.
//
// What is written is kept until the other end has it. When a connection breaks, or says nothing for too long, one end
// dials again; both say how far they have received, and the rest is sent once more. Whoever reads and writes notices
// nothing but the time that it takes. If no new connection comes within a window, the line is over at both ends.
package line

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// ErrClosed is the end of a line that was closed at this end.
var ErrClosed = errors.New("line closed")

// ErrSilent is the end of a connection whose other end says nothing.
var ErrSilent = errors.New("no sign of life")

// errReplaced is the end of a connection in whose place another one has come.
var errReplaced = errors.New("another connection has come")

// LostError is the end of a line whose last connection was lost and not replaced.
type LostError struct {
	Window time.Duration // how long a new one could come
	Cause  error         // how the last one ended
	Redial error         // why it was not replaced, if this end dials
}

// Error says how.
func (e *LostError) Error() string {
	if e.Window <= 0 {
		return "the connection was lost: " + e.Cause.Error()
	}
	switch lost := fmt.Sprintf("the connection was lost (%v) and not restored", e.Cause); {
	case e.Redial == nil:
		return fmt.Sprintf("%s within %v", lost, e.Window)
	case errors.Is(e.Redial, ErrRefused):
		return fmt.Sprintf("%s: %v", lost, e.Redial)
	default:
		return fmt.Sprintf("%s within %v: %v", lost, e.Window, e.Redial)
	}
}

// Abandoned says whether it could have been replaced.
func (e *LostError) Abandoned() bool { return e.Window > 0 }

// Unwrap returns both causes, but none that is a deadline's: os.ErrDeadlineExceeded says of a Read that it was called off, and
// whoever takes the end for that reads for ever.
func (e *LostError) Unwrap() (causes []error) {
	for _, err := range [...]error{e.Cause, e.Redial} {
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			causes = append(causes, err)
		}
	}
	return causes
}

// Config says how the two ends of a line treat each other. Both have the same times.
type Config struct {
	// Silence is how long a connection may bring nothing. The end that does not dial asks for a sign of life after half of it.
	Silence time.Duration
	// Window is how long after a connection the next may begin; 0: the line ends with its connection.
	Window time.Duration
	// Dial makes the next connection, tells the other end how far this one has received, and returns how far that one
	// has. It is tried again until ctx ends, unless its error is ErrRefused. nil: the other end dials, see Resume.
	Dial func(ctx context.Context, received int64) (conn net.Conn, theirs int64, err error)
	// Ended, if not nil, is called once when the line is over, under no lock. It must not block.
	Ended func()
}

// Line is one end. One goroutine at a time may read and one write; the other methods may be called at any time.
type Line struct {
	config  Config
	begun   time.Time
	wg      sync.WaitGroup // watch and post; Close waits for both
	over    chan struct{}  // closed by endLocked
	sending chan struct{}  // a token in it: somebody adds to kept, or sends of it
	resumes chan struct{}  // a token in it: somebody replaces the connection
	due     chan struct{}  // one token: post has something to do
	news    chan struct{}  // one token: watch has something to look at
	turned  chan struct{}  // one token: Away may say something else

	in parser // used by who reads

	mu          sync.Mutex // guards what follows; never held across I/O
	changed     *sync.Cond // any of it has, that somebody may wait for
	conn        net.Conn   // nil: none, or none any more
	mute        bool       // nothing can be written on it any more
	fresh       bool       // it is not the first one and has brought nothing yet
	final       bool       // no other follows it
	interrupted bool       // reading is called off
	kept        ring       // what has been written and may not have come
	sent        int64      // how far it has been given to conn
	received    int64      // how far the other direction has come
	told        int64      // how much of that the other end has been told
	owes        byte       // flags of a frame without bytes that is to be sent
	must        bool       // one is to be sent
	asked       bool       // for a sign of life since the last one
	calm        bool       // nothing has come, or been sent, for a while

	heard time.Duration // when something came last
	spoke time.Duration // when something was last added to kept
	away  time.Duration // since when there is no connection, or none that has brought anything
	lost  error         // how the last one ended
	err   error         // why the line is over
}

// New returns one end of a line whose first connection is conn. It owns the connection.
func New(conn net.Conn, c Config) *Line {
	l := &Line{
		config: c, begun: time.Now(), conn: conn, over: make(chan struct{}), sending: make(chan struct{}, 1), resumes: make(chan struct{}, 1),
		due: make(chan struct{}, 1), news: make(chan struct{}, 1), turned: make(chan struct{}, 1),
	}
	l.changed = sync.NewCond(&l.mu)
	l.wg.Go(l.watch)
	l.wg.Go(l.post)
	return l
}

// Read reads what the other end has written. The end is io.EOF if the other end has closed the line.
func (l *Line) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for l.in.left == 0 {
		if err := l.readHeader(); err != nil {
			return 0, err
		}
	}
	return l.readBytes(b)
}

// Write returns when the line has all of b, which need not have been sent. It waits when the other end has not received
// for long.
func (l *Line) Write(b []byte) (int, error) {
	done := 0
	for done < len(b) {
		n, err := l.keepAndSend(b[done:])
		if done += n; n == 0 && err == nil {
			err = l.awaitRoom()
		}
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// SetReadDeadline calls off a Read that waits, and each that follows, with os.ErrDeadlineExceeded if t has passed. The zero
// time has them wait again. Other times mean the same.
func (l *Line) SetReadDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.interrupted = !t.IsZero() && !t.After(time.Now())
	l.changed.Broadcast()
	if l.conn == nil {
		return nil
	}
	return l.conn.SetReadDeadline(l.deadlineLocked())
}

func (l *Line) deadlineLocked() time.Time {
	if l.interrupted {
		return time.Unix(1, 0)
	}
	return time.Time{}
}

// Away says whether there is no connection now, or none that has proved to work.
func (l *Line) Away() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err == nil && l.awayLocked()
}

func (l *Line) awayLocked() bool { return l.conn == nil || l.fresh }

// Turned has a token when Away may have become another.
func (l *Line) Turned() <-chan struct{} { return l.turned }

// Final says that no other connection can come: the line ends with the one it has.
func (l *Line) Final() {
	l.mu.Lock()
	l.final = true
	over := l.conn == nil && l.endLocked(l.lostLocked())
	l.mu.Unlock()
	l.ended(over)
}

// Close ends the line. The other end is told if there is a connection that takes it soon. When Close returns, nothing
// of the line is left. Closing twice does nothing more.
func (l *Line) Close() error {
	l.end(ErrClosed)
	l.wg.Wait()
	return nil
}

// Err says why the line is over; nil while it is not.
func (l *Line) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// end ends the line; the first reason counts.
func (l *Line) end(err error) {
	l.mu.Lock()
	first := l.endLocked(err)
	l.mu.Unlock()
	l.ended(first)
}

func (l *Line) endLocked(err error) (first bool) {
	if l.err != nil {
		return false
	}
	l.err = err
	if l.conn != nil {
		_ = l.conn.SetWriteDeadline(time.Now().Add(farewell)) // else it is closed anyway, once nobody writes
	}
	close(l.over)
	l.changed.Broadcast()
	return true
}

// ended tells who wants to know.
func (l *Line) ended(is bool) {
	if is && l.config.Ended != nil {
		l.config.Ended()
	}
}

// lostLocked is the end of a line without a connection.
func (l *Line) lostLocked() error {
	e := &LostError{Window: l.config.Window, Cause: l.lost}
	if l.final {
		e.Window = 0
	}
	return e
}

// now is the time since the line began.
func (l *Line) now() time.Duration { return time.Since(l.begun) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // there is one
	}
}

package dialback

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/fleetinglambda/flame/internal/line"
)

const (
	// handshakeTime is how long whoever connects may take to prove that he is expected.
	handshakeTime = 5 * time.Second
	// maxHalf is how many may be at it at a time. Of more, the one who came first has to go: who has a ticket needs a few
	// milliseconds, and comes again.
	maxHalf = 128
	// longestPause is the longest pause after the system could not give a connection away.
	longestPause = time.Second
)

// Listener is where the runners of one pool arrive. Its port is open while a runner is expected or there.
type Listener struct {
	pool   string
	window time.Duration // see Ticket
	config *tls.Config
	pin    [sha256.Size]byte
	wg     sync.WaitGroup // accept, and a goroutine for each who is half joined

	mu       sync.Mutex // guards what follows
	port     net.Listener
	expected map[string]*guest  // by runner
	members  map[string]*member // likewise
	half     []net.Conn         // who has not proved anything, in the order of arrival
	closed   bool
}

// guest is a runner that is expected.
type guest struct {
	ticket  *Ticket
	arrived chan *line.Line // one
	over    bool            // he is in, or expected no more; guarded by the Listener
}

// member is a runner that was let in and whose line is not over.
type member struct {
	line  *line.Line
	build string
	key   [proofSize]byte
	count uint64 // of the redials that it has proved; guarded by the Listener
}

// New returns a Listener for the runners of a pool, which may replace a lost connection within window; 0: they may not. It
// has a key of its own and listens nowhere yet.
func New(pool string, window time.Duration) (*Listener, error) {
	cert, pin, err := newKey()
	if err != nil {
		return nil, fmt.Errorf("make a key for runners to know their parent by: %w", err)
	}
	l := &Listener{pool: pool, window: max(0, window), pin: pin, expected: make(map[string]*guest), members: make(map[string]*member)}
	l.config = &tls.Config{
		Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13,
		NextProtos: []string{protocol}, SessionTicketsDisabled: true,
	}
	return l, nil
}

// errClosed is the error of who expects a runner after Close.
var errClosed = errors.New("the pool is closed")

// Expect makes the ticket for a runner, valid as long as ctx. listen is where the port is opened if it is not open
// ("host:port"; no port: any), dial what the runner is to dial; without a port there, it is that of the listener.
func (l *Listener) Expect(ctx context.Context, runner, listen, dial string) (*Ticket, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, errClosed
	}
	if err := l.openLocked(listen); err != nil {
		return nil, err
	}
	expires, ok := ctx.Deadline()
	if !ok {
		expires = time.Now().Add(time.Hour)
	}
	g := &guest{ticket: newTicket(withPort(dial, l.port.Addr()), l.pin, expires.Add(time.Second)), arrived: make(chan *line.Line, 1)}
	g.ticket.Window = l.window
	l.expected[runner] = g
	context.AfterFunc(ctx, func() { l.forget(runner, g) })
	return g.ticket, nil
}

// openLocked opens the port if it is not open.
func (l *Listener) openLocked(listen string) (err error) {
	if l.port != nil {
		return nil
	}
	if _, _, err := net.SplitHostPort(listen); err != nil {
		listen = net.JoinHostPort(listen, "0")
	}
	if l.port, err = net.Listen("tcp", listen); err != nil {
		return fmt.Errorf("listen for runners: %w", err)
	}
	port := l.port
	l.wg.Go(func() { l.accept(port) })
	return nil
}

// withPort returns what is to be dialled.
func withPort(dial string, at net.Addr) string {
	if _, _, err := net.SplitHostPort(dial); err == nil {
		return dial
	}
	_, port, _ := net.SplitHostPort(at.String()) // a TCP address always has one
	return net.JoinHostPort(dial, port)
}

// errGone is the error of who waits for a runner that is gone.
var errGone = errors.New("the runner ended before it had dialled its parent")

// Wait returns the line to a runner that Expect has made a ticket for, once it has shown it. It waits no longer
// than the runner is there.
func (l *Listener) Wait(ctx context.Context, runner string, gone <-chan struct{}) (*line.Line, error) {
	l.mu.Lock()
	g := l.expected[runner]
	l.mu.Unlock()
	if g == nil {
		return nil, fmt.Errorf("runner %s is not expected", runner)
	}
	select {
	case line := <-g.arrived:
		return line, nil
	case <-gone:
		return nil, errGone
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// forget lets a runner in no more. What has arrived and nobody has waited for is closed.
func (l *Listener) forget(runner string, g *guest) {
	l.mu.Lock()
	g.over = true
	delete(l.expected, runner)
	l.closeIfAloneLocked()
	l.mu.Unlock()
	select {
	case line := <-g.arrived:
		line.Close()
	default:
	}
}

// closeIfAloneLocked closes the port when nobody is expected or there.
func (l *Listener) closeIfAloneLocked() {
	if l.port == nil || len(l.expected)+len(l.members) > 0 && !l.closed {
		return
	}
	l.port.Close()
	l.port = nil
	for _, conn := range l.half {
		conn.Close()
	}
}

// Close closes the port and waits until nothing of the Listener is left but the connections that it has given away.
func (l *Listener) Close() {
	l.mu.Lock()
	l.closed = true
	l.closeIfAloneLocked()
	l.mu.Unlock()
	l.wg.Wait()
}

// accept takes in who connects, until the port is closed.
func (l *Listener) accept(port net.Listener) {
	for pause := time.Duration(0); ; {
		conn, err := port.Accept()
		switch {
		case err == nil:
			pause = 0
			l.wg.Go(func() { l.receive(conn) })
		case errors.Is(err, net.ErrClosed):
			return
		default: // out of descriptors, for example: it passes
			pause = min(cmp.Or(2*pause, 5*time.Millisecond), longestPause)
			time.Sleep(pause)
		}
	}
}

package dialback

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
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
	config *tls.Config
	pin    [sha256.Size]byte
	wg     sync.WaitGroup // accept, and a goroutine for each who is half joined

	mu       sync.Mutex // guards what follows
	port     net.Listener
	expected map[string]*guest // by runner
	inside   int               // connections that are open
	half     []net.Conn        // who has not proved anything, in the order of arrival
	closed   bool
}

// guest is a runner that is expected.
type guest struct {
	ticket  *Ticket
	arrived chan net.Conn // one
	over    bool          // he is in, or expected no more; guarded by the Listener
}

// New returns a Listener for the runners of a pool. It has a key of its own and listens nowhere yet.
func New(pool string) (*Listener, error) {
	cert, pin, err := newKey()
	if err != nil {
		return nil, fmt.Errorf("make a key for runners to know their parent by: %w", err)
	}
	l := &Listener{pool: pool, pin: pin, expected: make(map[string]*guest)}
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
	g := &guest{ticket: newTicket(withPort(dial, l.port.Addr()), l.pin, expires.Add(time.Second)), arrived: make(chan net.Conn, 1)}
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

// Wait returns the connection of a runner that Expect has made a ticket for, once it has shown it. It waits no longer
// than the runner is there.
func (l *Listener) Wait(ctx context.Context, runner string, gone <-chan struct{}) (net.Conn, error) {
	l.mu.Lock()
	g := l.expected[runner]
	l.mu.Unlock()
	if g == nil {
		return nil, fmt.Errorf("runner %s is not expected", runner)
	}
	select {
	case conn := <-g.arrived:
		return conn, nil
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
	case conn := <-g.arrived:
		conn.Close()
	default:
	}
}

// closeIfAloneLocked closes the port when nobody is expected or there.
func (l *Listener) closeIfAloneLocked() {
	if l.port == nil || len(l.expected)+l.inside > 0 && !l.closed {
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

// receive has one who has connected prove that he is expected. Who does not is told nothing.
func (l *Listener) receive(raw net.Conn) {
	raw.SetDeadline(time.Now().Add(handshakeTime))
	if !l.enter(raw) {
		raw.Close()
		return
	}
	conn := &connection{Conn: tls.Server(raw, l.config), gone: l.left}
	g := l.check(conn.Conn)
	raw.SetDeadline(time.Time{})
	if !l.admit(raw, conn, g) {
		raw.Close()
	}
}

// enter counts somebody as half joined. If there are too many, the one who came first has to go.
func (l *Listener) enter(raw net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.port == nil {
		return false
	}
	if len(l.half) >= maxHalf {
		l.half[0].Close()
		l.half = l.half[1:]
	}
	l.half = append(l.half, raw)
	return true
}

// check returns the guest that somebody has proved to be, or nil. Of which build he is he has proved as well; whether
// that is the right one is for the session to say, in words.
func (l *Listener) check(conn *tls.Conn) *guest {
	claims, proof, err := readProof(conn) // after the handshake of TLS
	if err != nil {
		return nil
	}
	claims.Pool = l.pool
	l.mu.Lock()
	g := l.expected[claims.Runner]
	l.mu.Unlock()
	if g == nil {
		return nil
	}
	want, err := g.ticket.proof(conn, claims)
	if err != nil || !hmac.Equal(want, proof) || time.Now().After(g.ticket.Expires) {
		return nil
	}
	return g
}

// admit ends the half joined stage of a connection and says whether it is in. A guest is let in once, as long as he is
// expected.
func (l *Listener) admit(raw net.Conn, conn net.Conn, g *guest) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.half = slices.DeleteFunc(l.half, func(c net.Conn) bool { return c == raw })
	if g == nil || g.over || l.closed {
		return false
	}
	g.over = true
	l.inside++
	g.arrived <- conn // never blocks: it is the only one
	return true
}

// left is told when a connection that was given away is closed.
func (l *Listener) left() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inside--
	l.closeIfAloneLocked()
}

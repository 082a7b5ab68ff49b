package dialback

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/fleetinglambda/flame/internal/line"
)

const (
	// protocol is what both ends say that they speak, so that another TLS server is told from a parent early.
	protocol = "flame/1"
	// again is how long a runner waits before it dials once more.
	again = 100 * time.Millisecond
	// connectTime is how long the network may take to answer: a way that has opened again meanwhile is tried soon.
	connectTime = 2 * time.Second
)

// errImpostor is the end of a connection whose other end has not the parent's key.
var errImpostor = errors.New("what answers there is not the parent: it has another key")

// silence is how long a connection may bring nothing. Without a window it takes as long to be found dead as with one.
func silence(window time.Duration) time.Duration {
	if window > 0 {
		return 5 * time.Second
	}
	return 15 * time.Second
}

// Dial connects to the parent and shows the ticket, and returns the line to the parent. It tries until the parent answers or ctx ends; the error is then that of the
// last attempt which ctx has not cut short. Who answers with another key than the parent's is told nothing.
func Dial(ctx context.Context, t *Ticket, c Claims) (*line.Line, error) {
	var last error
	for {
		l, err := t.join(ctx, c)
		if err == nil || errors.Is(err, errImpostor) {
			return l, err
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		wait := time.NewTimer(again)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return nil, fmt.Errorf("dial the parent at %s: %w: is there a firewall in between, or another address "+
				"by which runners reach it and that the backend has to be told (Listen and Dial)?", t.Addr, last)
		}
	}
}

// join connects for the first time.
func (t *Ticket) join(ctx context.Context, c Claims) (*line.Line, error) {
	r := returner{ticket: t, claims: c}
	conn, err := t.dial(ctx, func(conn connection) error {
		a := arrival{Claims: c}
		var err, failed error
		a.proof, err = t.proof(conn.Conn, c)
		if r.key, failed = t.key(conn.Conn, c); err != nil || failed != nil {
			return errors.Join(err, failed)
		}
		return a.write(conn)
	})
	if err != nil {
		return nil, err
	}
	return line.New(conn, line.Config{Silence: silence(t.Window), Window: t.Window, Dial: r.dial}), nil
}

// returner dials a parent again that knows this runner.
type returner struct {
	ticket *Ticket
	claims Claims
	key    [proofSize]byte
	count  uint64 // used by one goroutine, the line's
}

// dial makes the next connection of a line.
func (r *returner) dial(ctx context.Context, received int64) (next net.Conn, theirs int64, err error) {
	r.count++
	conn, err := r.ticket.dial(ctx, func(conn connection) error {
		a := arrival{Claims: r.claims, again: true, count: r.count, received: received}
		if a.proof, err = proofAgain(r.key, conn.Conn, r.claims.Pool, &a); err != nil {
			return err
		}
		if err := a.write(conn); err != nil {
			return err
		}
		theirs, err = readAnswer(conn)
		if err == nil && theirs == refused {
			err = line.ErrRefused
		}
		return err
	})
	return conn, theirs, err
}

// dial makes a connection to who has the parent's key, and has greet say who we are, all in a short time. It closes it if
// that fails.
func (t *Ticket) dial(ctx context.Context, greet func(connection) error) (connection, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: connectTime}, Config: &tls.Config{
		MinVersion:         tls.VersionTLS13,
		NextProtos:         []string{protocol},
		InsecureSkipVerify: true, // no authority knows the parent: its key itself is known
		VerifyConnection:   t.checkKey,
	}}
	raw, err := d.DialContext(ctx, "tcp", t.Addr)
	if err != nil {
		return connection{}, err
	}
	conn := connection{raw.(*tls.Conn)}
	end, _ := ctx.Deadline()
	_ = conn.SetDeadline(end)
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	err = greet(conn)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err != nil {
		conn.Close()
	}
	return conn, err
}

// checkKey refuses every key but the one of the ticket.
func (t *Ticket) checkKey(s tls.ConnectionState) error {
	sum := sha256.Sum256(s.PeerCertificates[0].RawSubjectPublicKeyInfo)
	if subtle.ConstantTimeCompare(sum[:], t.pin[:]) != 1 {
		return errImpostor
	}
	return nil
}

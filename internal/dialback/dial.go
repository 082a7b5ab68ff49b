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
)

const (
	// protocol is what both ends say that they speak, so that another TLS server is told from a parent early.
	protocol = "flame/1"
	// again is how long a runner waits before it dials once more.
	again = 100 * time.Millisecond
)

// errImpostor is the end of a connection whose other end has not the parent's key.
var errImpostor = errors.New("what answers there is not the parent: it has another key")

// Dial connects to the parent and shows the ticket. It tries until the parent answers or ctx ends; the error is the
// last attempt's. Who answers with another key than the parent's is told nothing.
func Dial(ctx context.Context, t *Ticket, c Claims) (net.Conn, error) {
	for {
		conn, err := dial(ctx, t, c)
		if err == nil || errors.Is(err, errImpostor) {
			return conn, err
		}
		wait := time.NewTimer(again)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return nil, fmt.Errorf("dial the parent at %s: %w", t.Addr, err)
		}
	}
}

func dial(ctx context.Context, t *Ticket, c Claims) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	d := tls.Dialer{Config: &tls.Config{
		MinVersion:         tls.VersionTLS13,
		NextProtos:         []string{protocol},
		InsecureSkipVerify: true, // no authority knows the parent: its key itself is known
		VerifyConnection:   t.checkKey,
	}}
	raw, err := d.DialContext(ctx, "tcp", t.Addr)
	if err != nil {
		return nil, err
	}
	conn := raw.(*tls.Conn)
	defer context.AfterFunc(ctx, func() { conn.NetConn().Close() })()
	proof, err := t.proof(conn, c)
	if err == nil {
		err = writeProof(conn, c, proof)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &connection{Conn: conn, gone: func() {}}, nil
}

// checkKey refuses every key but the one of the ticket.
func (t *Ticket) checkKey(s tls.ConnectionState) error {
	sum := sha256.Sum256(s.PeerCertificates[0].RawSubjectPublicKeyInfo)
	if subtle.ConstantTimeCompare(sum[:], t.pin[:]) != 1 {
		return errImpostor
	}
	return nil
}

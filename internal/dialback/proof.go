package dialback

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"fmt"
)

const proofSize = sha256.Size

// What both ends of a TLS connection, and nobody else, can derive from it: one thing to bind a proof to, and one to make
// the key from by which a runner proves later that it is the same.
const (
	exporter    = "EXPORTER-flame-dialback"
	keyExporter = "EXPORTER-flame-dialback-again"
)

// proof shows, on one connection, that who sends it has the ticket's secret and is what he claims.
func (t *Ticket) proof(conn *tls.Conn, c Claims) (sum [proofSize]byte, err error) {
	bound, err := export(conn, exporter)
	if err != nil {
		return sum, err
	}
	return t.sign("flame dialback 1", bound, c), nil
}

// key is what a runner that was let in on a connection can prove with on others, as can nobody who has only its ticket.
func (t *Ticket) key(conn *tls.Conn, c Claims) (sum [proofSize]byte, err error) {
	bound, err := export(conn, keyExporter)
	if err != nil {
		return sum, err
	}
	return t.sign("flame dialback key 1", bound, c), nil
}

func (t *Ticket) sign(what, bound string, c Claims) [proofSize]byte {
	return mac(t.secret[:], what, bound, c.Runner, c.Pool, c.Build, number(uint64(t.Expires.Unix())))
}

// proofAgain shows, on one connection and once, that who sends it has the key.
func proofAgain(key [proofSize]byte, conn *tls.Conn, pool string, a *arrival) (sum [proofSize]byte, err error) {
	bound, err := export(conn, exporter)
	if err != nil {
		return sum, err
	}
	return mac(key[:], "flame dialback again 1", bound, a.Runner, pool, a.Build, number(a.count), number(uint64(a.received))), nil
}

func export(conn *tls.Conn, label string) (string, error) {
	state := conn.ConnectionState()
	bound, err := state.ExportKeyingMaterial(label, nil, proofSize)
	if err != nil {
		return "", fmt.Errorf("bind the ticket to the connection: %w", err)
	}
	return string(bound), nil
}

// mac is a MAC over parts, none of which can be taken for the end or the beginning of another.
func mac(key []byte, parts ...string) (sum [proofSize]byte) {
	m := hmac.New(sha256.New, key)
	for _, part := range parts {
		m.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
		m.Write([]byte(part))
	}
	m.Sum(sum[:0])
	return sum
}

func number(n uint64) string { return string(binary.BigEndian.AppendUint64(nil, n)) }

// Package dialback is how a runner on another machine reaches its parent: over TLS, with a ticket that lets it in once.
//
// The parent opens a port while runners are expected or there. A runner knows from its ticket what to dial, which key
// answers there, and a secret. It proves that it has the secret in a way that holds for this connection alone. Before
// that nobody is told anything, and after it the ticket is worth nothing.
package dialback

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// Ticket lets one runner in, once, until it expires. It prints without its secret.
type Ticket struct {
	Addr    string    // what the runner dials, host:port
	Expires time.Time // to the second

	pin    [sha256.Size]byte // hash of the parent's public key
	secret [32]byte
}

// Claims are what a runner says it is, and its ticket is for.
type Claims struct {
	Runner, Pool, Build string
}

func newTicket(addr string, pin [sha256.Size]byte, expires time.Time) *Ticket {
	t := &Ticket{Addr: addr, Expires: expires.Truncate(time.Second), pin: pin}
	_, _ = rand.Read(t.secret[:]) // it never fails
	return t
}

// written is a Ticket as it travels.
type written struct {
	Addr    string `json:"addr"`
	Pin     []byte `json:"pin"`
	Secret  []byte `json:"secret"`
	Expires int64  `json:"expires"`
}

// Written returns the ticket with its secret, for the runner's eyes only.
func (t *Ticket) Written() json.RawMessage {
	text, err := json.Marshal(written{t.Addr, t.pin[:], t.secret[:], t.Expires.Unix()})
	if err != nil { // text and numbers always can
		panic(err)
	}
	return text
}

var errTicket = errors.New("it is no ticket of a flame parent")

// Read is the inverse of Written.
func Read(text json.RawMessage) (*Ticket, error) {
	var w written
	if json.Unmarshal(text, &w) != nil || w.Addr == "" || len(w.Pin) != sha256.Size || len(w.Secret) != 32 {
		return nil, errTicket
	}
	t := &Ticket{Addr: w.Addr, Expires: time.Unix(w.Expires, 0)}
	copy(t.pin[:], w.Pin)
	copy(t.secret[:], w.Secret)
	return t, nil
}

// Format prints what is no secret, whatever the verb.
func (t Ticket) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "ticket for %s until %s", t.Addr, t.Expires.UTC().Format(time.RFC3339))
}

// LogValue logs the same.
func (t Ticket) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(t)) }

// exporter names what both ends of a TLS connection, and nobody else, can derive from it.
const exporter = "EXPORTER-flame-dialback"

// proof shows, on one connection, that who sends it has the ticket's secret and is what he claims.
func (t *Ticket) proof(conn *tls.Conn, c Claims) ([]byte, error) {
	state := conn.ConnectionState()
	bound, err := state.ExportKeyingMaterial(exporter, nil, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("bind the ticket to the connection: %w", err)
	}
	mac := hmac.New(sha256.New, t.secret[:])
	for _, part := range []string{"flame dialback 1", string(bound), c.Runner, c.Pool, c.Build} {
		mac.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
		mac.Write([]byte(part))
	}
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(t.Expires.Unix())))
	return mac.Sum(nil), nil
}

// What a runner sends before anything else: its id and its build, each behind its length in a byte, and the proof.
const maxClaim = 255

func writeProof(w io.Writer, c Claims, proof []byte) error {
	if len(c.Runner) > maxClaim || len(c.Build) > maxClaim {
		return fmt.Errorf("a runner's id of %d bytes and a build's of %d", len(c.Runner), len(c.Build))
	}
	b := append([]byte{byte(len(c.Runner))}, c.Runner...)
	b = append(append(b, byte(len(c.Build))), c.Build...)
	_, err := w.Write(append(b, proof...))
	return err
}

func readProof(r io.Reader) (c Claims, proof []byte, err error) {
	for _, claim := range []*string{&c.Runner, &c.Build} {
		var b [1 + maxClaim]byte
		if _, err := io.ReadFull(r, b[:1]); err != nil {
			return c, nil, err
		}
		if _, err := io.ReadFull(r, b[1:1+int(b[0])]); err != nil {
			return c, nil, err
		}
		*claim = string(b[1 : 1+int(b[0])])
	}
	proof = make([]byte, sha256.Size)
	_, err = io.ReadFull(r, proof)
	return c, proof, err
}

// Package dialback is how a runner on another machine reaches its parent: over TLS, with a ticket that lets it in once.
//
// The parent opens a port while runners are expected or there. A runner knows from its ticket what to dial, which key
// answers there, and a secret. It proves that it has the secret in a way that holds for this connection alone. Before
// that nobody is told anything, and after it the ticket is worth nothing.
//
// What both have then is a line, which outlives its connection: the runner dials again and proves that it is the one that
// was let in, with a key that both have made of the ticket and the first connection.
package dialback

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Ticket lets one runner in, once, until it expires. It prints without its secret.
type Ticket struct {
	Addr    string    // what the runner dials, host:port
	Expires time.Time // to the second
	// Window is how long a connection that was lost can be replaced; 0: not at all.
	Window time.Duration

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
	Window  int64  `json:"window,omitempty"`
}

// Written returns the ticket with its secret, for the runner's eyes only.
func (t *Ticket) Written() json.RawMessage {
	text, err := json.Marshal(written{t.Addr, t.pin[:], t.secret[:], t.Expires.Unix(), int64(t.Window)})
	if err != nil { // text and numbers always can
		panic(err)
	}
	return text
}

var errTicket = errors.New("it is no ticket of a flame parent")

// Read is the inverse of Written.
func Read(text json.RawMessage) (*Ticket, error) {
	var w written
	if json.Unmarshal(text, &w) != nil || w.Addr == "" || len(w.Pin) != sha256.Size || len(w.Secret) != 32 || w.Window < 0 {
		return nil, errTicket
	}
	t := &Ticket{Addr: w.Addr, Expires: time.Unix(w.Expires, 0), Window: time.Duration(w.Window)}
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

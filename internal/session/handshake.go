package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/fleetinglambda/flame/internal/wire"
)

// Version is the version of the protocol. Both ends are the same executable, so it differs only when
// something else than a flame program answers.
const Version = 1

// maxHello bounds what a stranger can make a parent read.
const maxHello = 4 << 10

// Hello is how a runner introduces itself.
type Hello struct {
	Version int    `json:"flame"`
	Runner  string `json:"runner"`
	Build   string `json:"build"`
	PID     int    `json:"pid"`
}

// Welcome is what the parent answers: what it expects the runner to have, and how they treat each other.
type Welcome struct {
	Build   string        `json:"build"`
	Names   []Name        `json:"names,omitempty"`
	Message int64         `json:"message"`
	Silence time.Duration `json:"silence"`
	// Finish is how long detached calls may go on when the session is over.
	Finish time.Duration `json:"finish,omitempty"`
	// Slots is how many processes the runner may keep to run each call in one of its own; 0: it runs them itself.
	Slots int `json:"slots,omitempty"`
	// Level is the lowest level of log records that the parent takes.
	Level slog.Level `json:"level,omitempty"`
	// Plain has, with Slots, the runner write what they print to its own stderr, instead of telling it.
	Plain bool `json:"plain,omitempty"`
	// Grace is how long, with Slots, a function may ignore that its context has ended before its process is killed.
	Grace time.Duration `json:"grace,omitempty"`
}

// Name is a PerProcess name and the type registered under it.
type Name struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// Refusal is why one side does not work with the other.
type Refusal struct {
	Reason string
}

// Error returns the reason.
func (r *Refusal) Error() string { return r.Reason }

// Accept is the parent's side of the handshake: it proves that the runner is the one expected and of the
// same build before anything else is sent. Accept owns conn: it closes it when it fails or ctx ends first.
func Accept(ctx context.Context, conn io.ReadWriteCloser, runner string, w Welcome, l Limits) (*Session, error) {
	c := newCarrier(conn)
	hello, err := accept(ctx, c, runner, w)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return newSession(c, hello, l), nil
}

func accept(ctx context.Context, c *carrier, runner string, w Welcome) (h Hello, err error) {
	stop := context.AfterFunc(ctx, func() { c.conn.Close() })
	defer func() {
		if !stop() {
			err = context.Cause(ctx)
		}
	}()
	if err := c.receive(wire.Hello, maxHello, &h); err != nil {
		return h, err
	}
	if err := check(h, runner, w.Build); err != nil {
		_ = c.send(wire.Refuse, &Refusal{err.Error()})
		return h, err
	}
	if err := c.send(wire.Welcome, w); err != nil {
		return h, err
	}
	return h, c.receive(wire.Ready, 0, nil)
}

func check(h Hello, runner, build string) error {
	switch {
	case h.Version != Version:
		return &Refusal{fmt.Sprintf("the runner speaks version %d of the protocol, its parent version %d", h.Version, Version)}
	case h.Build != build:
		return &Refusal{fmt.Sprintf("the runner is build %q, its parent is build %q: both must run the same executable", h.Build, build)}
	case h.Runner != runner:
		return &Refusal{fmt.Sprintf("runner %q answered where %q was expected", h.Runner, runner)}
	}
	return nil
}

// Join is the runner's side of the handshake. have says what is wrong with the parent's expectations,
// or nil. Join owns conn: it closes it when it fails or ctx ends first.
func Join(ctx context.Context, conn io.ReadWriteCloser, h Hello, have func(Welcome) error) (*Server, error) {
	c := newCarrier(conn)
	w, err := join(ctx, c, h, have)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return newServer(c, Limits{Message: w.Message, Silence: w.Silence}), nil
}

func join(ctx context.Context, c *carrier, h Hello, have func(Welcome) error) (w Welcome, err error) {
	stop := context.AfterFunc(ctx, func() { c.conn.Close() })
	defer func() {
		if !stop() {
			err = context.Cause(ctx)
		}
	}()
	h.Version = Version
	if err := c.send(wire.Hello, h); err != nil {
		return w, err
	}
	if err := c.receive(wire.Welcome, wire.MaxPayload, &w); err != nil {
		return w, err
	}
	if err := have(w); err != nil {
		_ = c.send(wire.Refuse, &Refusal{err.Error()})
		return w, err
	}
	return w, c.send(wire.Ready, nil)
}

// send writes one frame of the handshake, during which there is no outbox.
func (c *carrier) send(k wire.Kind, v any) error {
	payload, err := json.Marshal(v)
	if err == nil && len(payload) > wire.MaxPayload {
		err = errors.New("too many PerProcess names for one frame")
	}
	if err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	if _, err = c.conn.Write(wire.AppendFrame(nil, k, 0, payload)); err != nil {
		return fmt.Errorf("handshake: %w: %w", ErrHungUp, err)
	}
	return nil
}

// ErrHungUp is the error of a handshake whose connection has ended.
var ErrHungUp = errors.New("the other side hung up before it was ready")

// receive reads the frame of the handshake that must come now into v, which may be nil.
func (c *carrier) receive(want wire.Kind, most int, v any) error {
	f, err := c.in.Next()
	switch {
	case errors.Is(err, wire.ErrCorrupt):
		return &Refusal{"what answers is not a flame program of this version"}
	case err != nil:
		return fmt.Errorf("handshake: %w: %w", ErrHungUp, err)
	case f.Kind == wire.Refuse:
		r := new(Refusal)
		if json.Unmarshal(f.Payload, r) != nil || r.Reason == "" {
			r.Reason = "refused without a reason"
		}
		return r
	case f.Kind != want || v != nil && len(f.Payload) > most:
		return &Refusal{fmt.Sprintf("what answers is not a flame program of this version: a frame of kind %d and %d bytes instead of kind %d", f.Kind, len(f.Payload), want)}
	case v == nil:
		return nil
	}
	if err := json.Unmarshal(f.Payload, v); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	return nil
}

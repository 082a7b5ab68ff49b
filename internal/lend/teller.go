package lend

import (
	"context"
	"encoding/binary"
	"log/slog"
)

// LevelOf returns the lowest level that a handler takes, of those that are asked about, or one above them.
func LevelOf(ctx context.Context, h slog.Handler) slog.Level {
	level := slog.Level(lowest)
	for level <= highest && !h.Enabled(ctx, level) {
		level++
	}
	return level
}

// outlet is where records go.
type outlet interface {
	Backlog() int
	tell(ctx context.Context, record []byte, dropped int) // dropped were others before it
	instead() slog.Handler                                // takes them when nobody can be told; nil: somebody can
}

// noted goes to a logger that a call has borrowed.
type noted struct {
	Link
	number uint64
}

func (n noted) tell(ctx context.Context, record []byte, _ int) {
	n.Note(append(binary.AppendUvarint(appendNote(nil, n.number, logged), n.Of(ctx)), record...))
}

func (n noted) instead() slog.Handler { return nil }

// Teller tells the parent things beside calls; *session.Server is one.
type Teller interface {
	Backlog() int
	TellFor(ctx context.Context, what []byte)
	Done() <-chan struct{}
}

// NewHandler returns a handler that tells the parent records from a level on. When there is no parent any more, another
// handler gets them.
func NewHandler(t Teller, level slog.Level, after slog.Handler) slog.Handler {
	return &handler{out: &recorder{to: teller{t, after}, level: level}}
}

type teller struct {
	Teller
	after slog.Handler
}

func (t teller) tell(ctx context.Context, record []byte, dropped int) {
	t.TellFor(ctx, append(binary.AppendUvarint([]byte{toldRecord}, uint64(dropped)), record...))
}

func (t teller) instead() slog.Handler {
	select {
	case <-t.Done():
		return t.after
	default:
		return nil
	}
}

// on returns another handler with the attributes and groups of this one.
func (h *handler) on(other slog.Handler) slog.Handler {
	switch {
	case h.outer == nil:
		return other
	case h.group != "":
		return h.outer.on(other).WithGroup(h.group)
	default:
		return h.outer.on(other).WithAttrs(h.attrs)
	}
}

package lend

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/fleetinglambda/flame/internal/codec"
	"github.com/fleetinglambda/flame/internal/image"
)

// maxBacklog is how many bytes may wait to be written to the parent before records are dropped.
const maxBacklog = 1 << 20

// maxRecord bounds a record in bytes, so that it fits one note.
const maxRecord = 2*maxText - 100

// record is a slog.Record on its way to the parent.
type record struct {
	Time    time.Time
	Level   int
	Message string
	Code    uint64 // where it was logged, as an offset in the executable; 0 unknown
	Attrs   []attr
	Dropped int // records dropped before this one
}

// attr is a slog.Attr. A value that is not of slog's own kinds crosses as what the usual handlers would print of it.
type attr struct {
	Key   string
	Kind  slog.Kind
	Num   uint64
	Text  string
	Time  time.Time
	Group []attr
	JSON  []byte
	Raw   []byte // handlers have ways of their own with bytes
}

// levels are those that Enabled is asked about.
const (
	lowest  = -12
	highest = 12
)

// lendLogger says from which level on a logger logs.
func (d *Desk) lendLogger(t *lent) {
	h := t.value.(*slog.Logger).Handler()
	t.ref = binary.AppendVarint(t.ref, int64(LevelOf(d.Context, h)))
	ctx := context.WithoutCancel(d.Context)
	t.heed = func(o op, payload []byte) {
		if o != logged {
			return
		}
		of, n := binary.Uvarint(payload)
		if n <= 0 {
			return
		}
		payload = bytes.Clone(payload[n:])
		mark := d.marked(of)
		d.deliver(len(payload), func() {
			var r record
			if codec.Decode(payload, &r, codec.Untrusted) != nil || !h.Enabled(ctx, slog.Level(r.Level)) {
				return
			}
			if r.Dropped > 0 {
				d.Owner.Dropped(r.Dropped)
			}
			out := r.slog()
			mark.on(&out)
			_ = h.Handle(ctx, out) // a logger ignores it, too
		})
	}
}

// Mark says where a function logs.
type Mark struct {
	Pool, Runner string // "" for both: nothing is marked
	Call         uint64 // its number; 0 if the function is not one call's
	// Number returns the number of the call that has this id on its connection, or 0. It is asked if Call is 0, about the call
	// whose context something was logged with; nil if nobody knows.
	Number func(id uint64) uint64
}

// on adds the mark to a record, behind its own attributes.
func (m Mark) on(r *slog.Record) {
	if m.Pool == "" && m.Runner == "" {
		return
	}
	r.AddAttrs(slog.String("pool", m.Pool), slog.String("runner", m.Runner))
	if m.Call > 0 {
		r.AddAttrs(slog.Uint64("call", m.Call))
	}
}

// marked is what marks that which is logged now, with the context of the call that has an id; 0 if of none.
func (d *Desk) marked(id uint64) Mark {
	d.mu.Lock()
	m := d.mark
	d.mu.Unlock()
	if m.Call == 0 && m.Number != nil && id > 0 {
		m.Call = m.Number(id)
	}
	return m
}

// slog makes the record of the parent's side.
func (r *record) slog() slog.Record {
	pc := uintptr(0)
	if im, err := image.Self(); err == nil && r.Code != 0 {
		pc = uintptr(im.Pointer(r.Code))
	}
	out := slog.NewRecord(r.Time, slog.Level(r.Level), r.Message, pc)
	for _, a := range r.Attrs {
		out.AddAttrs(a.slog(0))
	}
	return out
}

// maxGroups bounds how deep groups may be nested in what a runner sends.
const maxGroups = 64

func (a attr) slog(depth int) slog.Attr {
	switch a.Kind {
	case slog.KindBool:
		return slog.Bool(a.Key, a.Num != 0)
	case slog.KindDuration:
		return slog.Duration(a.Key, time.Duration(a.Num))
	case slog.KindFloat64:
		return slog.Float64(a.Key, math.Float64frombits(a.Num))
	case slog.KindInt64:
		return slog.Int64(a.Key, int64(a.Num))
	case slog.KindUint64:
		return slog.Uint64(a.Key, a.Num)
	case slog.KindString:
		return slog.String(a.Key, a.Text)
	case slog.KindTime:
		return slog.Time(a.Key, a.Time)
	case slog.KindGroup:
		var group []slog.Attr
		for _, g := range a.Group {
			if depth < maxGroups {
				group = append(group, g.slog(depth+1))
			}
		}
		return slog.Attr{Key: a.Key, Value: slog.GroupValue(group...)}
	default:
		if a.Raw != nil {
			return slog.Any(a.Key, a.Raw)
		}
		return slog.Any(a.Key, printed{a.Text, a.JSON})
	}
}

// printed is a value of the runner: its text, and its JSON if it has one.
type printed struct {
	text string
	json json.RawMessage
}

// String is for handlers that print text.
func (p printed) String() string { return p.text }

// MarshalText is for them, too.
func (p printed) MarshalText() ([]byte, error) { return []byte(p.text), nil }

// MarshalJSON is for handlers that print JSON.
func (p printed) MarshalJSON() ([]byte, error) {
	if json.Valid(p.json) {
		return p.json, nil
	}
	return json.Marshal(p.text)
}

// logger stands in for a logger of the parent.
func (b *Borrower) logger(number uint64, details []byte) (*slog.Logger, error) {
	level, n := binary.Varint(details)
	if n <= 0 {
		return nil, errNote
	}
	return slog.New(&handler{out: &recorder{to: noted{b.Link, number}, level: slog.Level(level)}}), nil
}

// recorder sends what is logged.
type recorder struct {
	to      outlet
	level   slog.Level
	dropped atomic.Int64
}

// handler is what loggers of the runner log to. It keeps attributes and groups as With and WithGroup have added them.
type handler struct {
	out   *recorder
	outer *handler // nil for the first
	group string   // "" for attributes
	attrs []slog.Attr
}

// Enabled says whether the parent's logger logs a level.
func (h *handler) Enabled(ctx context.Context, l slog.Level) bool {
	if other := h.out.to.instead(); other != nil {
		return other.Enabled(ctx, l)
	}
	return l >= h.out.level
}

// WithAttrs returns a handler that adds attributes to every record.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{out: h.out, outer: h, attrs: slices.Clone(attrs)}
}

// WithGroup returns a handler that puts what follows into a group.
func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return &handler{out: h.out, outer: h, group: name}
}

// Handle sends a record to the parent. When too much waits to be sent, it is dropped and counted.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	if other := h.out.to.instead(); other != nil {
		return h.on(other).Handle(ctx, r)
	}
	out := record{Time: r.Time, Level: int(r.Level), Message: r.Message}
	if im, err := image.Self(); err == nil && r.PC != 0 {
		out.Code, _ = im.Locate(r.PC)
	}
	r.Attrs(func(a slog.Attr) bool {
		out.Attrs = appendAttr(out.Attrs, a)
		return true
	})
	for ; h.outer != nil; h = h.outer {
		switch {
		case h.group == "":
			var attrs []attr
			for _, a := range h.attrs {
				attrs = appendAttr(attrs, a)
			}
			out.Attrs = append(attrs, out.Attrs...)
		case len(out.Attrs) > 0:
			out.Attrs = []attr{{Key: h.group, Kind: slog.KindGroup, Group: out.Attrs}}
		}
	}
	return h.out.send(ctx, &out)
}

func (s *recorder) send(ctx context.Context, r *record) error {
	if s.to.Backlog() > maxBacklog {
		s.dropped.Add(1)
		return nil
	}
	r.Dropped = int(s.dropped.Swap(0))
	msg, err := codec.Encode(r, codec.Options{})
	if err == nil && msg.Size() > maxRecord {
		r.Attrs = nil
		r.Message = r.Message[:min(len(r.Message), maxText)] + " … (cut, with its attributes: too long)"
		msg, err = codec.Encode(r, codec.Options{})
	}
	if err != nil {
		return fmt.Errorf("log on the parent: %w", err)
	}
	s.to.tell(ctx, bytes.Join(msg, nil), r.Dropped)
	return nil
}

// appendAttr appends an attribute as slog's rules have it: empty ones go, groups without a key are part of what they are in.
func appendAttr(to []attr, a slog.Attr) []attr {
	v := a.Value.Resolve()
	if a.Key == "" && v.Kind() == slog.KindAny && v.Any() == nil {
		return to
	}
	out := attr{Key: a.Key, Kind: v.Kind()}
	switch v.Kind() {
	case slog.KindBool:
		if v.Bool() {
			out.Num = 1
		}
	case slog.KindDuration:
		out.Num = uint64(v.Duration())
	case slog.KindFloat64:
		out.Num = math.Float64bits(v.Float64())
	case slog.KindInt64:
		out.Num = uint64(v.Int64())
	case slog.KindUint64:
		out.Num = v.Uint64()
	case slog.KindString:
		out.Text = v.String()
	case slog.KindTime:
		out.Time = v.Time()
	case slog.KindGroup:
		for _, g := range v.Group() {
			out.Group = appendAttr(out.Group, g)
		}
		if a.Key == "" {
			return append(to, out.Group...)
		}
	default:
		out.Kind = slog.KindAny
		if b, ok := v.Any().([]byte); ok && b != nil {
			out.Raw = b
			break
		}
		out.Text, out.JSON = printedOf(v.Any())
	}
	return append(to, out)
}

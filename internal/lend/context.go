package lend

import (
	"context"
	"encoding/binary"
	"errors"
	"reflect"
	"sync"
	"time"

	"github.com/fleetinglambda/flame/internal/codec"
)

// form is the type behind a context's interface. Where the compiler has seen which one it is, it calls that type's methods
// without looking, so what stands in must be of the same type.
type form byte

const (
	anyForm form = iota
	cancelForm
	timerForm
	valueForm
	freeForm // from WithoutCancel
)

// formOf says how a context was made.
func formOf(ctx context.Context) form {
	switch t := reflect.TypeOf(ctx); t.String() {
	case "*context.cancelCtx":
		return cancelForm
	case "*context.timerCtx":
		return timerForm
	case "*context.valueCtx":
		return valueForm
	case "context.withoutCancelCtx":
		return freeForm
	default:
		return anyForm
	}
}

// formed returns a context of a form that ends with ctx.
func formed(ctx context.Context, f form, deadline time.Time) (_ context.Context, cancel func()) {
	switch f {
	case cancelForm:
		return context.WithCancel(ctx)
	case timerForm:
		return context.WithDeadline(ctx, deadline)
	case valueForm:
		return context.WithValue(ctx, formKey{}, nil), func() {}
	case freeForm:
		return context.WithoutCancel(ctx), func() {}
	default:
		return ctx, func() {}
	}
}

// formKey is the key of a value that nobody asks for.
type formKey struct{}

// lendContext says how much time a context has left and whether it has ended, and tells when it ends.
func (d *Desk) lendContext(t *lent, number uint64) {
	ctx := t.value.(context.Context)
	t.ref = append(t.ref, byte(formOf(ctx)))
	t.ref = binary.AppendVarint(t.ref, left(ctx))
	if ctx.Err() != nil {
		t.ref = append(t.ref, endOf(ctx)...)
		return
	}
	stop := context.AfterFunc(ctx, func() { d.tellEnd(note(number, ended, endOf(ctx)...)) })
	t.forget = func() { stop() }
}

// left is how many nanoseconds a context has left, at least 1; 0 if it has no deadline.
func left(ctx context.Context) int64 {
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	return max(1, int64(time.Until(deadline)))
}

// endOf says why a context has ended: whether its time was over, and its cause.
func endOf(ctx context.Context) []byte {
	late := byte(0)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		late = 1
	}
	return append([]byte{late}, packError(context.Cause(ctx))...)
}

// maxText bounds what a note says in words, in bytes.
const maxText = 32 << 10

// packError makes bytes of an error; of one that cannot cross, its text.
func packError(err error) []byte {
	msg, failed := codec.EncodeError(err, codec.Options{Limit: maxText})
	if failed != nil {
		text := err.Error()
		msg, _ = codec.EncodeError(errors.New(text[:min(len(text), maxText/2)]), codec.Options{}) // a string always can
	}
	var b []byte
	for _, part := range msg {
		b = append(b, part...)
	}
	return b
}

// unpackError is the inverse of packError, for bytes of the parent.
func unpackError(b []byte) error { return unpackErrorOf(b, codec.Trusted) }

// unpackErrorOf is unpackError for bytes of anybody.
func unpackErrorOf(b []byte, trust codec.Trust) error {
	err, failed := codec.DecodeError(b, trust)
	if failed != nil {
		return failed
	}
	return err
}

// own returns the call's own context, as a context of a form. The function is then run with the same.
func (b *Borrower) own(f form) context.Context {
	ctx := b.Link.Context()
	if f == freeForm { // it must not keep the function from learning that its time is over
		return context.WithoutCancel(ctx)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.context == nil {
		deadline, ok := ctx.Deadline()
		if !ok {
			deadline = time.Now().Add(never)
		}
		b.context, b.cancel = formed(ctx, f, deadline)
		b.timed = ok && f == timerForm
	}
	return b.context
}

// never is how long a context lives that is of the timed kind and has no deadline.
const never = 100 * 365 * 24 * time.Hour

// borrowContext makes a context that ends when the parent's does.
func borrowContext(details []byte) (t borrowed, err error) {
	if len(details) == 0 {
		return t, errNote
	}
	f := form(details[0])
	nanos, n := binary.Varint(details[1:])
	if n <= 0 || nanos < 0 {
		return t, errNote
	}
	s := newSource()
	deadline := time.Now().Add(never)
	if nanos > 0 {
		deadline = time.Now().Add(time.Duration(nanos))
		if s.deadline = deadline; f == timerForm { // which keeps its deadline itself
			s.deadline = time.Time{}
		} else {
			timer := time.AfterFunc(time.Duration(nanos), func() { s.end(context.DeadlineExceeded, context.DeadlineExceeded) })
			s.AfterFunc(func() { timer.Stop() })
		}
	}
	ctx, cancel := formed(s, f, deadline)
	t = borrowed{value: ctx, heed: s.heed, end: func() {
		s.end(context.Canceled, context.Canceled)
		cancel()
	}}
	if end := details[1+n:]; len(end) > 0 {
		s.heed(ended, end)
	}
	return t, nil
}

// source is a context that ends when it is told to, and why. Contexts made from it end with it.
type source struct {
	context.Context // holds the cause, which package context asks it for
	cause           context.CancelCauseFunc
	deadline        time.Time // zero: none

	mu    sync.Mutex // guards what follows
	err   error
	done  chan struct{} // closed when err is set
	after map[*func()]struct{}
}

func newSource() *source {
	s := &source{done: make(chan struct{}), after: make(map[*func()]struct{})}
	s.Context, s.cause = context.WithCancelCause(context.Background())
	return s
}

// heed takes a note of the parent.
func (s *source) heed(o op, payload []byte) {
	if o != ended || len(payload) == 0 {
		return
	}
	err := context.Canceled
	if payload[0] == 1 {
		err = context.DeadlineExceeded
	}
	s.end(err, unpackError(payload[1:]))
}

// end ends the context. The first reason counts.
func (s *source) end(err, cause error) {
	s.mu.Lock()
	first, after := s.err == nil, s.after
	if first {
		s.err, s.after = err, nil
		s.cause(cause)
		close(s.done)
	}
	s.mu.Unlock()
	if first {
		for f := range after {
			(*f)()
		}
	}
}

// AfterFunc has package context derive contexts from this one without a goroutine for each.
func (s *source) AfterFunc(f func()) (stop func() bool) {
	s.mu.Lock()
	over := s.err != nil
	if !over {
		s.after[&f] = struct{}{}
	}
	s.mu.Unlock()
	if over {
		f()
	}
	return func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		_, waiting := s.after[&f]
		delete(s.after, &f)
		return waiting
	}
}

// Deadline returns when the context's time is over.
func (s *source) Deadline() (time.Time, bool) { return s.deadline, !s.deadline.IsZero() }

// Done is closed when the context has ended. It is not the channel of the context inside: package context would take
// this one for that one, and its reason for ending with it.
func (s *source) Done() <-chan struct{} { return s.done }

// Err says why the context has ended.
func (s *source) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// packResult is packError for an error that may be nil.
func packResult(err error) []byte {
	if err == nil {
		return nil
	}
	return packError(err)
}

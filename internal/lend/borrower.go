package lend

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
)

// Link is how a call reaches its parent; *session.Incoming is one.
type Link interface {
	Context() context.Context
	Listen(heed func(note []byte))
	Note(note []byte) bool
	Backlog() int
	Of(ctx context.Context) uint64
}

// Borrower makes what stands in for the things that a parent has lent to one call. Link and Leftovers are set before it is
// used.
type Borrower struct {
	Link Link
	// Leftovers takes over the channels that something left behind by the function may still send to.
	Leftovers *Leftovers
	// Limit is how many bytes an element of a channel may have.
	Limit int64

	mu      sync.Mutex // guards what follows
	things  map[uint64]borrowed
	context context.Context // the call's own; nil until it is asked for
	cancel  func()          // of context, if that was made here
	timed   bool            // context keeps the deadline itself
}

// borrowed is something that stands in.
type borrowed struct {
	value  any
	heed   func(o op, payload []byte)      // what the parent notes about it; must not block
	settle func(ctx context.Context) error // waits until the parent has had what the function gave it; nil if it gives nothing
	end    func()                          // the call is over
}

// Borrow is for the codec: it returns what stands in for what Lend of the other side has been given.
func (b *Borrower) Borrow(ref []byte, as reflect.Type) (any, error) {
	if len(ref) == 1 {
		return b.own(form(ref[0])), nil
	}
	number, n := binary.Uvarint(ref)
	if n <= 0 || n >= len(ref) {
		return nil, errNote
	}
	b.mu.Lock()
	t, again := b.things[number]
	b.mu.Unlock()
	if again {
		return t.shaped(as), nil
	}
	t, err := b.standIn(number, kind(ref[n]), ref[n+1:], as)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	listen := b.things == nil
	if listen {
		b.things = make(map[uint64]borrowed)
	}
	b.things[number] = t
	b.mu.Unlock()
	if listen {
		b.Link.Listen(b.heed)
	}
	return t.shaped(as), nil
}

func (b *Borrower) standIn(number uint64, k kind, details []byte, as reflect.Type) (t borrowed, err error) {
	switch k {
	case aContext:
		return borrowContext(details)
	case aLogger:
		t.value, err = b.logger(number, details)
	case aLineLogger:
		t.value, err = b.lineLogger(number, details)
	case aStream:
		t, err = b.stream(number, details)
	case aSender:
		t, err = b.sender(number, details, as)
	case aReceiver:
		t, err = b.receiver(number, details, as)
	default:
		err = fmt.Errorf("%w: a thing of kind %d", errNote, k)
	}
	return t, err
}

// shaped returns what stands in with the methods that a variable of type as asks for, and no more, where that matters.
func (t borrowed) shaped(as reflect.Type) any {
	s, ok := t.value.(*borrowedStream)
	if !ok {
		return t.value
	}
	if make := shaped[shapeOf(as)]; make != nil {
		return make(s)
	}
	return nil // as is no stream
}

// Context is what the function is run with: the call's own context.
func (b *Borrower) Context() context.Context {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.context == nil {
		return b.Link.Context()
	}
	return b.context
}

// KeepsDeadline says whether the function has the call's own context in a form that ends at the call's deadline by itself.
func (b *Borrower) KeepsDeadline() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.timed
}

// heed gives a note of the parent to the thing that it is about. An empty one is about them all.
func (b *Borrower) heed(n []byte) {
	if len(n) == 0 {
		for _, t := range b.all() {
			t.tell(gone, nil)
		}
		return
	}
	number, o, payload, err := cutNote(n)
	if err != nil {
		return
	}
	b.mu.Lock()
	t := b.things[number]
	b.mu.Unlock()
	t.tell(o, payload)
}

func (t borrowed) tell(o op, payload []byte) {
	if t.heed != nil {
		t.heed(o, payload)
	}
}

// Settle is called when the function has returned, before its answer: it waits until the parent has had all that the
// function wrote to what it has borrowed. ctx bounds that. An error is one that the function has not seen.
func (b *Borrower) Settle(ctx context.Context) error {
	var failed []error
	for _, t := range b.all() {
		if t.settle != nil {
			failed = append(failed, t.settle(ctx))
		}
	}
	return errors.Join(failed...)
}

// End is called when the function is over: contexts end, and readers fail that something left behind still uses.
func (b *Borrower) End() {
	for _, t := range b.all() {
		if t.end != nil {
			t.end()
		}
	}
	b.mu.Lock()
	cancel := b.cancel
	b.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// all returns what has been borrowed so far.
func (b *Borrower) all() []borrowed {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Values(b.things))
}

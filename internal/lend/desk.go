package lend

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"
)

// Desk keeps what one call has lent. Context and Owner are set before it is used.
type Desk struct {
	// Context is what the call was made with. Lent, it becomes the call's own context on the runner.
	Context context.Context
	// Owner is what the Desk belongs to.
	Owner Owner
	// Again says that the function may run more than once.
	Again bool

	reading sync.WaitGroup // what reads from lent readers; a Read that blocks nobody can end, so nobody waits for this

	mu      sync.Mutex // guards what follows; never held across I/O
	things  []lent
	send    func(note []byte) // to the runner; nil until the call was sent
	notes   [][]byte          // to be sent
	telling bool              // somebody sends them
	ends    [][]byte          // those about contexts that have ended
	over    bool
	readers []*lentReader
	log     deliveries
}

// Owner does for a Desk what is not done at once.
type Owner interface {
	Go(f func())    // runs f, which delivers what was logged
	Dropped(n int)  // n records were dropped because the parent's logger was too slow
	Fail(err error) // ends the call: the function has used something in a way that it cannot be used
}

// lent is one thing on a Desk.
type lent struct {
	kind   kind
	value  any
	ref    []byte
	heed   func(o op, payload []byte) // what the runner notes about it; must not block
	forget func()                     // the call is over
}

// Lend is for the codec: v stays here, and Borrow on the other side gets what is returned.
func (d *Desk) Lend(v any, as reflect.Type) ([]byte, error) {
	if as == contextType && same(v, d.Context) {
		return []byte{byte(formOf(d.Context))}, nil // shorter than all that have a number
	}
	d.mu.Lock()
	k := kindOf(v, as)
	for _, t := range d.things {
		if t.kind == k && same(t.value, v) {
			d.mu.Unlock()
			return t.ref, nil
		}
	}
	number := uint64(len(d.things))
	d.things = append(d.things, lent{kind: k, value: v})
	d.mu.Unlock()

	t := lent{kind: k, value: v, ref: append(binary.AppendUvarint(nil, number), byte(k))}
	switch k {
	case aContext:
		d.lendContext(&t, number)
	case aLogger:
		d.lendLogger(&t)
	case aLineLogger:
		d.lendLineLogger(&t)
	case aReader:
		if d.Again {
			return nil, errReadOnce
		}
		d.lendReader(&t, number)
	default:
		return nil, fmt.Errorf("a %T is nothing that can be lent", v)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.things[number] = t
	return t.ref, nil
}

var errReadOnce = errors.New("a reader can be read once, and with Retry the function may run again: open it inside the function, or leave Retry out")

// same says whether two values are one thing.
func same(a, b any) bool {
	return a != nil && reflect.TypeOf(a).Comparable() && reflect.ValueOf(a).Comparable() && a == b
}

// Lent says whether anything was.
func (d *Desk) Lent() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.things) > 0
}

// Bind is called when the call was sent to a runner, each time; send reaches that runner.
func (d *Desk) Bind(send func(note []byte)) {
	d.mu.Lock()
	d.send = send
	d.notes = append(slices.Clone(d.ends), d.notes...)
	d.tellLocked()
}

// tell sends a note, now or when there is a runner to tell.
func (d *Desk) tell(n []byte) {
	d.mu.Lock()
	d.notes = append(d.notes, n)
	d.tellLocked()
}

// tellEnd tells of a context's end, which every runner has to know that the call is sent to.
func (d *Desk) tellEnd(n []byte) {
	d.mu.Lock()
	d.ends = append(d.ends, n)
	if d.send != nil {
		d.notes = append(d.notes, n)
	}
	d.tellLocked()
}

// tellLocked sends the notes in order and unlocks. One goroutine sends at a time; what others add meanwhile, it sends too.
func (d *Desk) tellLocked() {
	defer d.mu.Unlock()
	if d.telling {
		return
	}
	d.telling = true
	for len(d.notes) > 0 && d.send != nil && !d.over {
		send, notes := d.send, d.notes
		d.notes = nil
		d.mu.Unlock()
		for _, n := range notes {
			send(n)
		}
		d.mu.Lock()
	}
	d.telling = false
}

// Noted takes a note of the runner. It may be any bytes. Noted does not block.
func (d *Desk) Noted(n []byte) {
	number, o, payload, err := cutNote(n)
	d.mu.Lock()
	if err != nil || d.over || number >= uint64(len(d.things)) {
		d.mu.Unlock()
		return
	}
	heed := d.things[number].heed
	d.mu.Unlock()
	if heed != nil {
		heed(o, payload)
	}
}

// Close is called when the call has its outcome: nothing is told or heeded any more. What was logged is delivered yet.
func (d *Desk) Close() {
	d.mu.Lock()
	things := d.things
	first := !d.over
	d.over, d.send, d.notes = true, nil, nil
	d.mu.Unlock()
	for _, t := range things {
		if first && t.forget != nil {
			t.forget()
		}
	}
}

// readTime is how long Wait waits for a Read that the call has left behind.
const readTime = 100 * time.Millisecond

// Wait waits, after Close, until what was logged is delivered, and as good as always until nothing reads from
// what was lent. ctx bounds it.
func (d *Desk) Wait(ctx context.Context) {
	d.log.wait(ctx)
	var patience <-chan time.Time
	for _, r := range d.readers {
		gone := r.reads()
		if gone == nil {
			continue
		}
		if patience == nil {
			timer := time.NewTimer(readTime)
			defer timer.Stop()
			patience = timer.C
		}
		select {
		case <-gone:
		case <-patience:
			return
		case <-ctx.Done():
			return
		}
	}
}

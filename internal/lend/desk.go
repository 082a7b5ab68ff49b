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
	// Limit is how many bytes an element of a channel may have.
	Limit int64
	// Again says that the function may run more than once.
	Again bool

	first  uint64              // the number of the first thing
	closed func(number uint64) // the other side knows that a stream was closed for it; may be nil

	using sync.WaitGroup // what uses lent streams; a method that waits nobody can end, so nobody waits for this

	mu      sync.Mutex // guards what follows; never held across I/O
	things  []lent
	send    func(note []byte) // to the runner; nil until the call was sent
	notes   []outgoing        // to be sent
	telling bool              // somebody sends them
	ends    []outgoing        // those about contexts that have ended
	over    bool
	runs    int  // how often the call was sent
	mark    Mark // of the last time
	streams []*stream
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
	renew  func(run int)              // the call is sent to a runner once more; nil if that changes nothing
	stream *stream                    // the same, if it is one
}

// outgoing is a note that is to be sent.
type outgoing struct {
	note   []byte
	buffer *buffer // that holds it and is free then; nil if none does
	sent   func()  // is called then; may be nil
	ofRun  bool    // no other run is to have it
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
			if t.stream != nil {
				t.stream.allow(as)
			}
			return t.ref, nil
		}
	}
	number := d.first + uint64(len(d.things))
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
	case aStream:
		if d.Again {
			return nil, errOnce
		}
		d.lendStream(&t, number, as)
	case aSender:
		d.lendSender(&t, number)
	case aReceiver:
		if d.Again {
			return nil, errTaken
		}
		d.lendReceiver(&t, number)
	default:
		return nil, fmt.Errorf("a %T is nothing that can be lent", v)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.things[number-d.first] = t
	return t.ref, nil
}

var errOnce = errors.New("a reader or writer can be used once, and with Retry the function may run again: open it inside the function, or leave Retry out")

var errTaken = errors.New("what a <-chan gives it gives once, and with Retry the function may run again: capture the elements as a slice, or leave Retry out")

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

// Send is called before the call is sent to a runner, each time: what one before has noted counts no more. m marks what is
// logged there.
func (d *Desk) Send(m Mark) {
	d.mu.Lock()
	d.mark = m
	d.runs++
	run, things := d.runs, slices.Clone(d.things)
	if run > 1 {
		d.send = nil
		d.notes = slices.DeleteFunc(d.notes, func(o outgoing) bool { return o.ofRun })
	}
	d.mu.Unlock()
	for _, t := range things {
		if run > 1 && t.renew != nil {
			t.renew(run)
		}
	}
}

// Bind is called when the call was sent to a runner, each time; send reaches that runner.
func (d *Desk) Bind(send func(note []byte)) {
	d.mu.Lock()
	d.send = send
	d.notes = append(slices.Clone(d.ends), d.notes...)
	d.tellLocked()
}

// tell sends a note, now or when there is a runner to tell.
func (d *Desk) tell(n []byte) { d.tellOne(outgoing{note: n}) }

// tellRun sends a note to the runner of that run only; the first that is sent has no number yet.
func (d *Desk) tellRun(run int, n []byte) {
	d.mu.Lock()
	if max(run, 1) == max(d.runs, 1) {
		d.notes = append(d.notes, outgoing{note: n, ofRun: true})
	}
	d.tellLocked()
}

// tellBuffer sends the note of n bytes that is in a buffer.
func (d *Desk) tellBuffer(b *buffer, n int) { d.tellOne(outgoing{note: b[:n], buffer: b}) }

func (d *Desk) tellOne(o outgoing) {
	d.mu.Lock()
	d.notes = append(d.notes, o)
	d.tellLocked()
}

// tellEnd tells of a context's end, which every runner has to know that the call is sent to.
func (d *Desk) tellEnd(n []byte) {
	d.mu.Lock()
	d.ends = append(d.ends, outgoing{note: n})
	if d.send != nil {
		d.notes = append(d.notes, outgoing{note: n})
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
			send(n.note)
			n.buffer.free()
			if n.sent != nil {
				n.sent()
			}
		}
		d.mu.Lock()
	}
	d.telling = false
}

// Noted takes a note of the runner. It may be any bytes. Noted does not block.
func (d *Desk) Noted(n []byte) {
	number, o, payload, err := cutNote(n)
	d.mu.Lock()
	if err != nil || d.over || number-d.first >= uint64(len(d.things)) {
		d.mu.Unlock()
		return
	}
	heed := d.things[number-d.first].heed
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

const (
	// useTime is how long Wait waits for a method of a stream that the call has left behind.
	useTime = 100 * time.Millisecond
	// readTime is how long it waits for a Read if nobody has time any more.
	readTime = 10 * time.Millisecond
	// leaveTime is how long it waits for a method that has been given a deadline: that returns.
	leaveTime = 5 * time.Second
)

// Wait waits, after Close, until what was logged is delivered, which ctx bounds, and as good as always until nothing
// uses what was lent: its caller may use it again, and what can seek is where the function has read to.
func (d *Desk) Wait(ctx context.Context) {
	d.log.wait(ctx)
	start := time.Now()
	for _, s := range d.streams {
		idle := s.inUse()
		if idle == nil {
			continue
		}
		timer := time.NewTimer(time.Until(start.Add(s.patience(ctx.Err() != nil))))
		select {
		case <-idle:
		case <-timer.C:
		}
		timer.Stop()
	}
}

package lend

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"sync"

	"github.com/fleetinglambda/flame/internal/codec"
)

// passing is how many bytes of a channel's elements may be on the way, if there is more than one of them.
const passing = 1 << 20

// little is so much of that that an element of any size may follow it.
const little = passing / 4

// pieces tells the notes of an element, whatever its size.
func pieces(number uint64, msg codec.Message, tell func(note []byte)) {
	const most = maxNote - noteHead
	begin := func() []byte {
		return append(appendNote(make([]byte, 0, min(int(msg.Size()), most)+noteHead), number, element), 0)
	}
	n := begin()
	head := len(n)
	for _, part := range msg {
		for len(part) > 0 {
			if len(n) == cap(n) || len(n)-head == most {
				tell(n)
				n = begin()
			}
			m := min(len(part), most-(len(n)-head))
			n, part = append(n, part[:m]...), part[m:]
		}
	}
	n[head-1] = 1
	tell(n)
}

// joiner puts the pieces of elements together.
type joiner struct{ element []byte }

// add returns the whole element with its last piece.
func (j *joiner) add(payload []byte, most int64) (whole []byte, last, ok bool) {
	if len(payload) == 0 || int64(len(j.element)+len(payload)-1) > most {
		return nil, false, false
	}
	j.element = append(j.element, payload[1:]...)
	if payload[0] == 0 {
		return nil, false, true
	}
	whole = j.element
	*j = joiner{}
	return whole, true, true
}

// lentChannel is a channel of the parent, to which it passes what the function sends, or from which what it receives.
type lentChannel struct {
	desk   *Desk
	number uint64
	ch     reflect.Value
	over   chan struct{} // closed when the call is

	mu      sync.Mutex // guards what follows
	busy    bool       // a goroutine passes on
	ended   bool       // the call
	failed  bool       // what was said of the channel, or done with it, ends the call
	run     int        // how often the call was sent to a runner: what is left of an earlier run counts no more
	granted uint64     // elements that may come, or be sent, in all
	came    uint64     // of the function's; or elements that its channel has got
	had     uint64     // of these, what the channel has taken; or elements that were taken out of it for the function
	joining joiner
	queue   [][]byte
	sizes   []int         // of elements that were sent to the function and that its channel has not got
	parked  codec.Message // an element that waits until there are fewer; nil: none
	bytes   int           // in queue and joining; or in all of sizes
	last    bool          // the function has closed its channel
}

func (d *Desk) lendChannel(t *lent, number uint64) *lentChannel {
	c := &lentChannel{desk: d, number: number, ch: reflect.ValueOf(t.value), over: make(chan struct{})}
	t.ref = binary.AppendUvarint(t.ref, uint64(c.ch.Cap()))
	t.forget = c.forget
	return c
}

// lendSender lets the function send to a channel.
func (d *Desk) lendSender(t *lent, number uint64) {
	c := d.lendChannel(t, number)
	first := uint64(max(1, c.ch.Cap())) // the same for every Desk of a Spread
	c.granted = first
	t.ref = binary.AppendUvarint(t.ref, first)
	t.heed, t.renew = c.heedSent, func(run int) { c.renew(run, first) }
}

// lendReceiver lets the function receive from a channel.
func (d *Desk) lendReceiver(t *lent, number uint64) {
	c := d.lendChannel(t, number)
	t.heed, t.renew = c.heedWanted, func(run int) { c.renew(run, 0) }
}

// room is how many elements may be on their way to the channel: as many as it has room for, and one that waits for some.
func (c *lentChannel) room() uint64 { return uint64(max(1, c.ch.Cap()-c.ch.Len())) }

// renew forgets what an earlier run has said: the function begins again, with as many elements as its message grants.
func (c *lentChannel) renew(run int, granted uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed {
		return
	}
	c.run, c.granted, c.came, c.had = run, granted, 0, 0
	c.joining, c.queue, c.sizes, c.bytes, c.last = joiner{}, nil, nil, 0, false
}

func (c *lentChannel) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		c.ended = true
		close(c.over)
	}
}

// goLocked has f done on a goroutine, unless one is at it.
func (c *lentChannel) goLocked(f func()) {
	if !c.busy && !c.ended {
		c.busy = true
		c.desk.Owner.Go(f)
	}
}

// heedSent takes what the function has sent. It may be any bytes.
func (c *lentChannel) heedSent(o op, payload []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ok := !c.last
	switch {
	case !ok:
	case o == element:
		most := passing - int64(c.bytes)
		if c.bytes == 0 {
			most = c.desk.Limit
		}
		var whole []byte
		var last bool
		if whole, last, ok = c.joining.add(payload, most); last {
			c.queue, c.bytes = append(c.queue, whole), c.bytes+len(whole)
			c.came++
			ok = c.came <= c.granted
		}
	case o == closing:
		c.last = true
	default:
		ok = false
	}
	if !ok {
		c.failLocked(fmt.Errorf("%w: %d about a %v", errNote, o, c.ch.Type()))
		return
	}
	if len(c.queue) > 0 || c.last {
		c.goLocked(c.pass)
	}
}

// failLocked ends the call. The owner is told on a goroutine of his own: he may be the one who tells us.
func (c *lentChannel) failLocked(err error) {
	c.failed, c.last, c.queue, c.bytes, c.joining = true, true, nil, 0, joiner{}
	if !c.ended {
		c.desk.Owner.Go(func() { c.desk.Owner.Fail(err) })
	}
}

func (c *lentChannel) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failLocked(err)
}

// pass sends to the channel what has come, until nothing is left.
func (c *lentChannel) pass() {
	for {
		c.mu.Lock()
		run := c.run
		if len(c.queue) == 0 || c.ended {
			c.busy = false
			shut := c.last && !c.ended && !c.failed
			c.mu.Unlock()
			if shut && c.close() {
				c.acknowledge(run, 0)
			}
			return
		}
		next := c.queue[0]
		c.queue[0] = nil
		c.queue = c.queue[1:]
		c.mu.Unlock()
		if !c.put(next) {
			c.mu.Lock()
			c.busy = false
			c.mu.Unlock()
			return
		}
		c.acknowledge(run, len(next))
	}
}

// errClosedThere is the end of a call whose function sends where the parent has closed.
var errClosedThere = errors.New("the function sent to a channel that is closed on the parent, or closed it: only one may close it")

// put sends one element and waits until it is taken, or the call is over.
func (c *lentChannel) put(data []byte) (sent bool) {
	v := reflect.New(c.ch.Type().Elem())
	if err := codec.Decode(data, v.Interface(), codec.Untrusted); err != nil {
		c.fail(fmt.Errorf("an element for a %v cannot be read: %w", c.ch.Type(), err))
		return false
	}
	defer func() {
		if recover() != nil { // nothing else can panic there
			c.fail(errClosedThere)
		}
	}()
	chosen, _, _ := reflect.Select([]reflect.SelectCase{
		{Dir: reflect.SelectSend, Chan: c.ch, Send: v.Elem()},
		{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(c.over)},
	})
	return chosen == 0
}

// close closes the channel behind the function's elements.
func (c *lentChannel) close() (closed bool) {
	defer func() {
		if recover() != nil {
			c.fail(errClosedThere)
		}
	}()
	c.ch.Close()
	return true
}

// acknowledge tells the runner that an element of n bytes was taken, or the channel closed, if that lets it go on.
func (c *lentChannel) acknowledge(run, n int) {
	c.mu.Lock()
	if run != c.run {
		c.mu.Unlock()
		return
	}
	c.had++
	c.bytes -= n
	allowed := max(c.granted, c.had+c.room())
	tell := len(c.queue) == 0 || allowed-c.granted > (c.granted-c.came)
	if tell {
		c.granted = allowed
	}
	had := c.had
	c.mu.Unlock()
	if tell {
		c.desk.tellRun(run, binary.AppendUvarint(binary.AppendUvarint(appendNote(nil, c.number, took), allowed), had))
	}
}

// heedWanted learns how many elements the function can take in all, and how many of them its channel has got.
func (c *lentChannel) heedWanted(o op, payload []byte) {
	in := cutter{b: payload, ok: true}
	wanted, came := in.uint(), in.uint()
	c.mu.Lock()
	defer c.mu.Unlock()
	if o != took || !in.ok || wanted < c.granted || wanted-c.had > uint64(c.ch.Cap())+1 || came < c.came || came-c.came > uint64(len(c.sizes)) {
		c.failLocked(fmt.Errorf("%w: %d about a %v", errNote, o, c.ch.Type()))
		return
	}
	for ; c.came < came; c.came++ {
		c.bytes -= c.sizes[0]
		c.sizes = c.sizes[1:]
	}
	if c.granted = wanted; c.parked != nil || !c.last && c.had < c.granted {
		c.goLocked(c.fetch)
	}
}

// fetch receives from the channel and sends to the runner as much as is wanted.
func (c *lentChannel) fetch() {
	for {
		c.mu.Lock()
		msg := c.sendsLocked()
		if msg == nil && (c.parked != nil || c.had == c.granted || c.ended || c.last) {
			c.busy = false
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		if msg != nil {
			pieces(c.number, msg, c.desk.tell)
			continue
		}
		if !c.receive() {
			return
		}
	}
}

// sendsLocked returns the element that waits if it may be sent now.
func (c *lentChannel) sendsLocked() codec.Message {
	msg := c.parked
	size := int(msg.Size())
	if msg == nil || c.bytes > little && c.bytes+size > passing {
		return nil
	}
	c.parked, c.sizes, c.bytes = nil, append(c.sizes, size), c.bytes+size
	return msg
}

// receive takes one element out of the channel. False means that there will be no other.
func (c *lentChannel) receive() (more bool) {
	c.mu.Lock()
	c.had++
	c.mu.Unlock()
	chosen, v, open := reflect.Select([]reflect.SelectCase{
		{Dir: reflect.SelectRecv, Chan: c.ch},
		{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(c.over)},
	})
	switch {
	case chosen == 1:
		return false
	case !open:
		c.mu.Lock()
		c.last = true
		c.mu.Unlock()
		c.desk.tell(note(c.number, closing))
		return false
	}
	in := reflect.New(v.Type())
	in.Elem().Set(v)
	msg, err := codec.Encode(in.Interface(), codec.Options{Limit: c.desk.Limit})
	if err != nil {
		c.fail(fmt.Errorf("an element of a %v: %w", c.ch.Type(), err))
		return false
	}
	c.mu.Lock()
	c.parked = msg
	c.mu.Unlock()
	return true
}

package lend

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"sync"
	"time"
)

const (
	// window is how far the parent reads ahead of what the function has read, in bytes, and how much of what the function
	// has written may be on its way.
	window = 256 << 10
	// maxNote is the size of the largest note.
	maxNote = 64<<10 - 12
	// room is how much of a stream a note brings. It leaves some for an error.
	room = 60 << 10
	// writeCost is what each Write counts besides its bytes, so that many small ones are bounded, too.
	writeCost = 64
	// maxRequests is how many requests about one stream may be unanswered.
	maxRequests = 16
)

// verb says what is to be done with a stream.
type verb byte

const (
	aWrite   verb = iota // has a note of its own
	aBack                // has a note of its own
	aFlush               // nothing: when it is answered, all that came before is done
	aSeek                // an offset and from where
	aClose               //
	aReadAt              // an offset and how many bytes
	aWriteAt             // an offset and bytes
)

// operation is something to be done with a stream.
type operation struct {
	verb   verb
	id     uint64 // of a request
	epoch  uint64 // of the writing
	off    int64
	n      int // bytes to read, or where a seek counts from
	data   []byte
	buffer *buffer // that holds data, if it is to be used again
}

// stream is a reader, writer or the like of the parent, and does what the function asks for on the runner. What can
// seek has one offset, so one hand reads and does the rest; what cannot is read by one hand and written by another.
type stream struct {
	desk   *Desk
	number uint64
	value  any
	seeks  bool

	mu      sync.Mutex // guards what follows
	allowed shape      // the methods that the function has
	hands   []*hand
	over    bool
	closed  bool          // by the function
	asking  int           // requests that are not answered yet
	running int           // goroutines that use value
	idle    chan struct{} // closed when none does any more; made when the call is over and one does

	epoch    uint64 // of the reading: it ends with an error and when the function seeks or writes
	ended    bool
	ahead    int64 // bytes that have been read and not put back
	consumed int64 // bytes of those that the function has read

	todo     []operation
	waiting  int    // bytes in todo, and what each Write counts besides
	failures uint64 // errors of Write so far; what was written before the function has seen the last is not written
	taken    int    // written since the runner was told
}

// hand is a goroutine's work on a stream. There is no goroutine while there is nothing to do.
type hand struct {
	reads, does bool // what it is there for
	busy        bool
	inside      string        // Read or Write, while it may be in there
	hurried     chan struct{} // closed when that method has a deadline that is over, if it can; nil if it is not to
	leaves      bool          // it has
}

// lendStream has value used by the runner through the methods of as.
func (d *Desk) lendStream(t *lent, number uint64, as reflect.Type) {
	s := &stream{desk: d, number: number, value: t.value, seeks: canSeek(t.value), allowed: shapeOf(as)}
	if s.hands = []*hand{{reads: true}, {does: true}}; s.seeks || neverWaits(t.value) {
		s.hands = []*hand{{reads: true, does: true}}
	}
	t.heed, t.forget, t.stream = s.heed, s.forget, s
	t.ref = append(t.ref, 0)
	if s.seeks {
		t.ref[len(t.ref)-1] = 1
	}
	d.mu.Lock()
	d.streams = append(d.streams, s)
	d.mu.Unlock()
}

// allow adds methods that the function has.
func (s *stream) allow(as reflect.Type) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.allowed |= shapeOf(as)
}

// heed takes a note of the runner.
func (s *stream) heed(o op, payload []byte) {
	s.mu.Lock()
	ok := !s.over
	if ok {
		ok = s.heedLocked(o, payload)
		s.workLocked()
	}
	over := s.over
	s.mu.Unlock()
	if !ok && !over {
		s.desk.Owner.Fail(fmt.Errorf("%w: %d about a %T", errNote, o, s.value))
	}
}

// heedLocked says whether the note was one that a function can cause.
func (s *stream) heedLocked(o op, payload []byte) bool {
	switch o {
	case asked:
		return s.askedLocked(payload)
	case back:
		return s.backLocked(payload)
	case write:
		epoch, n := binary.Uvarint(payload)
		if n <= 0 || s.allowed&writes == 0 {
			return false
		}
		return s.addLocked(operation{verb: aWrite, epoch: epoch}, payload[n:])
	case request:
		return s.requestLocked(payload)
	}
	return false
}

// askedLocked learns how much the function has read.
func (s *stream) askedLocked(payload []byte) bool {
	epoch, n := binary.Uvarint(payload)
	if n <= 0 || s.allowed&reads == 0 {
		return false
	}
	consumed, m := binary.Uvarint(payload[n:])
	if m <= 0 || int64(consumed) < s.consumed || int64(consumed) > s.ahead {
		return false
	}
	s.consumed = int64(consumed)
	if epoch > s.epoch {
		s.epoch, s.ended = epoch, false
		if !s.seeks { // what was read ahead in vain is lost
			s.ahead = s.consumed
		}
	}
	return true
}

// backLocked learns that the function wants to be at the offset that it has read to.
func (s *stream) backLocked(payload []byte) bool {
	consumed, n := binary.Uvarint(payload)
	if n <= 0 || !s.seeks || int64(consumed) < s.consumed || int64(consumed) > s.ahead {
		return false
	}
	s.consumed, s.ended = int64(consumed), true
	if last := len(s.todo) - 1; last < 0 || s.todo[last].verb != aBack {
		s.todo = append(s.todo, operation{verb: aBack})
	}
	return true
}

// requestLocked takes what will be answered.
func (s *stream) requestLocked(payload []byte) bool {
	o, data, ok := cutRequest(payload)
	if !ok || s.asking == maxRequests || o.verb == aReadAt && o.n > room || len(data) > room || s.allowed&o.verb.needs() != o.verb.needs() {
		return false
	}
	s.asking++
	if o.verb == aClose && len(s.todo) == 0 && !s.writesLocked() { // a Read may wait for just that
		s.closed = true
		s.besidesLocked(o)
		return true
	}
	return s.addLocked(o, data)
}

// writesLocked says whether a hand may be in value, but not in its Read.
func (s *stream) writesLocked() bool {
	h := s.hands[len(s.hands)-1]
	return h.busy && h.inside != "Read"
}

// needs is the method without which nothing is asked for.
func (v verb) needs() shape {
	switch v {
	case aSeek:
		return seeks
	case aClose:
		return closes
	case aReadAt:
		return readsAt
	case aWriteAt:
		return writesAt
	}
	return 0
}

// addLocked has o done after what came before, if that is not too much.
func (s *stream) addLocked(o operation, data []byte) bool {
	if s.waiting += cost(data); s.waiting > window+maxRequests*(room+writeCost) {
		return false
	}
	o.data, o.buffer = keep(data)
	s.todo = append(s.todo, o)
	return true
}

// cost is what a Write of data counts.
func cost(data []byte) int { return len(data) + writeCost }

// workLocked starts the hands that have something to do.
func (s *stream) workLocked() {
	for _, h := range s.hands {
		if !h.busy && s.hasWorkLocked(h) {
			h.busy = true
			s.goLocked(func() { s.run(h) })
		}
	}
}

func (s *stream) hasWorkLocked(h *hand) bool {
	return h.does && len(s.todo) > 0 || h.reads && s.creditLocked() > 0
}

// creditLocked is how many bytes may be read now.
func (s *stream) creditLocked() int {
	if s.ended || s.epoch == 0 || s.over {
		return 0
	}
	if credit := s.consumed + window - s.ahead; credit >= room { // less is not worth it, and more will come
		return room
	}
	return 0
}

// goLocked runs f, which uses value, on a goroutine of its own. A method that ends that goroutine ends the call: nobody else is
// there to answer.
func (s *stream) goLocked(f func()) {
	s.running++
	s.desk.using.Go(func() {
		returned := false
		defer func() {
			if s.leave(); !returned {
				s.desk.Owner.Fail(fmt.Errorf("a method of a %T ended its goroutine with runtime.Goexit (t.FailNow does that too)", s.value))
			}
		}()
		f()
		returned = true
	})
}

func (s *stream) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running--; s.running == 0 && s.idle != nil {
		close(s.idle)
		s.idle = nil
	}
}

// inUse returns what is closed when nothing uses value any more; nil if nothing does.
func (s *stream) inUse() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running > 0 && s.idle == nil {
		s.idle = make(chan struct{})
	}
	return s.idle
}

// patience is how long one should wait for the end of what uses value, also if nobody has time any more.
func (s *stream) patience(late bool) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.hands {
		if h.leaves {
			return leaveTime
		}
	}
	if late && !s.seeks && !s.writesLocked() {
		return readTime
	}
	return useTime
}

// run works until there is nothing to do.
func (s *stream) run(h *hand) {
	for {
		s.mu.Lock()
		if !s.over {
			h.inside = ""
		}
		switch credit := s.creditLocked(); {
		case h.does && len(s.todo) > 0:
			o := s.takeLocked()
			if o.verb == aWrite {
				h.inside = "Write"
			}
			s.mu.Unlock()
			s.do(o)
		case h.reads && credit > 0:
			epoch := s.epoch
			h.inside = "Read"
			s.mu.Unlock()
			s.read(epoch, min(credit, room))
		default:
			h.busy = false
			over := s.over
			s.mu.Unlock()
			if over {
				s.letGo(h)
			}
			return
		}
	}
}

// letGo leaves value as the function would have left it here: where it is, and without a deadline.
func (s *stream) letGo(h *hand) {
	s.putBack()
	s.mu.Lock()
	hurried := h.hurried
	s.mu.Unlock()
	if hurried != nil {
		<-hurried
		_ = s.setDeadline(h.inside, false)
	}
}

// takeLocked takes what is to be done next.
func (s *stream) takeLocked() operation {
	o := s.todo[0]
	s.todo[0] = operation{}
	if s.todo = s.todo[1:]; len(s.todo) == 0 {
		s.todo = nil
	}
	if o.verb != aBack {
		s.waiting -= cost(o.data)
	}
	if o.verb == aClose {
		s.closed = true
	}
	return o
}

// forget is called when the call is over: nothing is begun any more, and what waits in value is hurried.
func (s *stream) forget() {
	s.mu.Lock()
	s.over, s.todo = true, nil
	var hurry []*hand
	for _, h := range s.hands {
		if h.busy && h.inside != "" {
			h.hurried = make(chan struct{})
			hurry = append(hurry, h)
		}
	}
	if h := s.hands[0]; s.seeks && !h.busy && s.ahead > s.consumed {
		s.goLocked(s.putBack)
	}
	s.mu.Unlock()
	for _, h := range hurry {
		if s.setDeadline(h.inside, true) == nil {
			s.mu.Lock()
			h.leaves = true
			s.mu.Unlock()
		}
		close(h.hurried)
	}
}

package session

import (
	"fmt"
	"io"
	"math"
	"slices"
	"sync"

	"github.com/fleetinglambda/flame/internal/wire"
)

const (
	// writeSize is how much bulk one write may carry, and so how long a small frame may have to wait for it.
	writeSize = 2 * wire.MaxFrame
	// maxRounds is how often a sender writes what others have added meanwhile, before the
	// background writer takes over and he may go.
	maxRounds = 4
	// maxWaits is how often in a row a sender waits a moment for room, before the background writer takes over.
	maxWaits = 5
	// keepBuffer is the largest buffer kept for the next write.
	keepBuffer = 4 * wire.MaxFrame
)

// outbox is the one writer of a connection. Frames that are ready together leave in one write. Whoever
// adds one writes it himself if that needs no waiting; the rest is left to a background writer.
type outbox struct {
	conn   io.Writer
	fast   fast            // the connection's fast ways; nil if it has none
	closed <-chan struct{} // the session is over
	failed func(error)
	wake   chan struct{} // one token: the background writer has the busy flag and should write

	mu      sync.Mutex
	written *sync.Cond // something was, or busy has become false
	small   []byte     // whole frames in order
	bulk    []*message // messages of more than one frame; each gets a chunk in turn
	spare   []byte     // the buffer that becomes small when small is taken
	rest    load       // what is being written, or the last write has left
	busy    bool       // somebody has the role of writing
	writing bool       // and does
	loads   int        // how often rest was made anew
	over    bool       // nothing is written any more
	added   int64      // bytes that ever went into small
	offered int64      // of these, bytes that the connection has been given, whether it took them or not
}

func newOutbox(conn io.Writer, closed <-chan struct{}, failed func(error)) *outbox {
	o := &outbox{conn: conn, closed: closed, failed: failed, wake: make(chan struct{}, 1)}
	o.fast, _ = conn.(fast)
	o.written = sync.NewCond(&o.mu)
	return o
}

// add takes a message. Nothing is written before flush. The parts of a message that fits one frame are
// copied; those of a larger one must stay as they are until it has left or was dropped. Its first frame, a head
// alone, goes ahead of them, so that whatever is added later about the same call arrives later.
func (o *outbox) add(m *message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if m.large = int64(len(m.head))+m.size > wire.MaxPayload; m.large {
		m.last = math.MaxInt64
		m.parts = slices.Clone(m.parts)
		o.addFrameLocked(m.kind, m.call, m.head)
		o.bulk = append(o.bulk, m)
		return
	}
	before := len(o.small)
	o.small = wire.AppendHeader(o.small, m.kind, m.call, len(m.head)+int(m.size))
	o.small = append(o.small, m.head...)
	for _, p := range m.parts {
		o.small = append(o.small, p...)
	}
	o.added += int64(len(o.small) - before)
	m.last = o.added
}

// addFrame takes a frame that has no more than a header and a small payload.
func (o *outbox) addFrame(k wire.Kind, call uint64, payload []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.addFrameLocked(k, call, payload)
}

func (o *outbox) addFrameLocked(k wire.Kind, call uint64, payload []byte) {
	o.small = wire.AppendFrame(o.small, k, call, payload)
	o.added += int64(wire.HeaderSize + len(payload))
}

// drop takes back a message of which only a part has left, and says whether it could. After drop the message's parts
// are not touched any more, in any case.
func (o *outbox) drop(m *message) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !m.large {
		return false
	}
	at := slices.Index(o.bulk, m)
	if at >= 0 {
		o.bulk = slices.Delete(o.bulk, at, at+1)
		m.size, m.parts = 0, nil
	}
	load := o.loads
	for o.fast != nil && o.writing && load == o.loads { // for a moment only
		o.written.Wait()
	}
	if load == o.loads { // what was taken later has nothing of m
		o.rest.letGo()
	}
	return at >= 0
}

// leave returns when nothing can overtake a message any more, or the session is over.
func (o *outbox) leave(m *message) {
	o.deliver(m)
	o.mu.Lock()
	defer o.mu.Unlock()
	for !o.over && m.last == math.MaxInt64 {
		o.written.Wait()
	}
}

// backlog is how many bytes of whole frames wait to be written.
func (o *outbox) backlog() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.small) + o.rest.left
}

// mayHaveLeft says whether the other side may have the whole message.
func (o *outbox) mayHaveLeft(m *message) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.offered >= m.last
}

// flush sees to it that what was added is written. It does not block on a slow connection.
func (o *outbox) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.busy || o.over || !o.moreLocked() {
		return
	}
	o.busy = true
	for round := 0; o.fast != nil && round < maxRounds && o.moreLocked(); round++ {
		if !o.writeLocked(o.fast.tryWrite) {
			break
		}
	}
	o.giveUpLocked()
}

// deliver is flush for who has time until m has left: he writes it himself, and waits meanwhile, if that is all that it needs.
func (o *outbox) deliver(m *message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fast == nil || o.busy || o.over || !m.large {
		o.mu.Unlock()
		o.flush()
		o.mu.Lock()
		return
	}
	o.busy = true
	for waits := 0; waits < maxWaits && !o.over && (m.size > 0 || o.rest.left > 0); {
		if o.writeLocked(o.fast.tryWrite) {
			waits = 0
			continue
		}
		waits++
		o.mu.Unlock()
		o.fast.awaitRoom()
		o.mu.Lock()
	}
	o.giveUpLocked()
}

// giveUpLocked gives the role of writing up, to the background writer if there is more to write.
func (o *outbox) giveUpLocked() {
	if !o.moreLocked() {
		o.restLocked()
		return
	}
	o.wake <- struct{}{} // never blocks: only who sets busy sends, and the writer takes it before busy is false
}

// run is the background writer.
func (o *outbox) run() {
	for {
		select {
		case <-o.wake:
			o.writeAll()
		case <-o.closed:
			o.mu.Lock()
			o.over = true
			o.restLocked()
			o.mu.Unlock()
			return
		}
	}
}

func (o *outbox) writeAll() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.moreLocked() {
		if o.writeLocked(o.writeFor()) {
			continue
		}
		if o.over || o.fast == nil || o.rest.left == 0 {
			break // the session is over
		}
		o.mu.Unlock()
		err := o.fast.waitRoom()
		o.mu.Lock()
		if err != nil {
			o.failLocked(err)
			break
		}
	}
	o.restLocked()
}

// writeFor is how the background writer writes.
func (o *outbox) writeFor() func([][]byte) (int, error) {
	if o.fast != nil {
		return o.fast.tryWrite
	}
	return func(b [][]byte) (int, error) { return o.conn.Write(b[0]) }
}

// writeLocked writes what was left, or takes more, without the lock while it writes. It says whether all of it left.
func (o *outbox) writeLocked(write func([][]byte) (int, error)) bool {
	if o.rest.left == 0 {
		o.takeLocked()
	}
	buf := o.rest.buf
	o.writing = true
	o.mu.Unlock()
	n, err := write(o.rest.segments)
	o.mu.Lock()
	o.writing = false
	o.rest.written(n)
	o.written.Broadcast()
	if err != nil {
		o.failLocked(err)
		return false
	}
	if o.rest.left > 0 {
		return false
	}
	if cap(buf) <= keepBuffer && n > 0 {
		o.spare = buf[:0]
	}
	return true
}

// failLocked ends the session, without the lock.
func (o *outbox) failLocked(err error) {
	o.mu.Unlock()
	o.failed(fmt.Errorf("write: %w", err))
	o.mu.Lock()
}

func (o *outbox) moreLocked() bool {
	return o.rest.left > 0 || len(o.small) > 0 || len(o.bulk) > 0
}

// takeLocked decides what the next write carries: every small frame, then chunks of the large messages in turn.
func (o *outbox) takeLocked() {
	o.loads++
	l := &o.rest
	l.buf = o.small
	o.small, o.spare = o.spare[:0], nil
	before := l.size()
	for len(o.bulk) > 0 && l.size() < writeSize {
		m := o.bulk[0]
		o.bulk = append(o.bulk[:0], o.bulk[1:]...)
		l.chunk(m, o.fast != nil)
		o.added += int64(l.size() - before)
		before = l.size()
		if m.size > 0 {
			o.bulk = append(o.bulk, m)
		} else {
			m.last = o.added
		}
	}
	l.seal()
	o.offered = o.added
}

func (o *outbox) restLocked() {
	o.busy = false
	o.written.Broadcast()
}

// wait returns when everything added has been written, or the session is over.
func (o *outbox) wait() {
	o.flush()
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.busy {
		o.written.Wait()
	}
}

// waitFor returns when at most backlog bytes of whole frames wait to be written, or the session is over.
func (o *outbox) waitFor(backlog int) {
	o.flush()
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.busy && !o.over && len(o.small)+o.rest.left > backlog {
		o.written.Wait()
	}
}

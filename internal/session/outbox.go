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
	// keepBuffer is the largest buffer kept for the next write.
	keepBuffer = 4 * wire.MaxFrame
)

// outbox is the one writer of a connection. Frames that are ready together leave in one write. Whoever
// adds one writes it himself if that needs no waiting; the rest is left to a background writer.
type outbox struct {
	conn   io.Writer
	try    func([]byte) (int, error) // writes what fits without blocking; nil if the connection can't
	closed <-chan struct{}           // the session is over
	failed func(error)
	wake   chan struct{} // one token: the background writer has the busy flag and should write

	mu      sync.Mutex
	written *sync.Cond // something was, or busy has become false
	small   []byte     // whole frames in order
	bulk    []*message // messages of more than one frame; each gets a chunk in turn
	spare   []byte     // the buffer that becomes small when small is taken
	rest    []byte     // what the last try could not write
	busy    bool       // somebody writes
	over    bool       // nothing is written any more
	added   int64      // bytes that ever went into small
	offered int64      // of these, bytes that the connection has been given, whether it took them or not
}

// message is one call or result on its way out.
type message struct {
	kind  wire.Kind
	call  uint64
	head  []byte // of its first frame's payload
	parts [][]byte
	size  int64 // of what is left of parts
	last  int64 // where in the stream its last byte is; math.MaxInt64 until it is added
}

func newOutbox(conn io.Writer, closed <-chan struct{}, failed func(error)) *outbox {
	o := &outbox{conn: conn, closed: closed, failed: failed, wake: make(chan struct{}, 1)}
	if q, ok := conn.(fast); ok {
		o.try = q.tryWrite
	}
	o.written = sync.NewCond(&o.mu)
	return o
}

// add takes a message. Nothing is written before flush. The parts of a message that fits one frame are
// copied; those of a larger one must stay as they are until it has left or was dropped. Its first frame, a head
// alone, goes ahead of them, so that whatever is added later about the same call arrives later.
func (o *outbox) add(m *message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if int64(len(m.head))+m.size > wire.MaxPayload {
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

// chunksLocked adds chunks of the large messages in turn until the write is large enough.
func (o *outbox) chunksLocked() {
	for len(o.bulk) > 0 && len(o.small) < writeSize {
		m := o.bulk[0]
		o.bulk = append(o.bulk[:0], o.bulk[1:]...)
		o.chunkLocked(m)
		if m.size > 0 {
			o.bulk = append(o.bulk, m)
		} else {
			m.last = o.added
		}
	}
}

// chunkLocked takes one frame off m.
func (o *outbox) chunkLocked(m *message) {
	before := len(o.small)
	n := int(min(wire.MaxPayload, m.size))
	o.small = wire.AppendHeader(o.small, wire.Chunk, m.call, n)
	m.size -= int64(n)
	for n > 0 {
		part := m.parts[0][:min(n, len(m.parts[0]))]
		o.small = append(o.small, part...)
		n -= len(part)
		if m.parts[0] = m.parts[0][len(part):]; len(m.parts[0]) == 0 {
			m.parts = m.parts[1:]
		}
	}
	o.added += int64(len(o.small) - before)
}

// drop takes back a message of which only a part has left, and says whether it could. After drop the message's parts
// are not touched any more.
func (o *outbox) drop(m *message) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, other := range o.bulk {
		if other == m {
			o.bulk = append(o.bulk[:i], o.bulk[i+1:]...)
			return true
		}
	}
	return false
}

// leave returns when nothing can overtake a message any more, or the session is over.
func (o *outbox) leave(m *message) {
	o.flush()
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
	return len(o.small) + len(o.rest)
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
	for round := 0; o.try != nil && round < maxRounds && len(o.bulk) == 0; round++ {
		if o.rest = o.takeLocked(); !o.writeLocked(o.try) {
			break
		}
		if !o.moreLocked() {
			o.restLocked()
			return
		}
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
		if len(o.rest) == 0 {
			o.rest = o.takeLocked()
		}
		if !o.writeLocked(o.conn.Write) {
			break // the session is over
		}
		o.written.Broadcast()
	}
	o.restLocked()
}

// writeLocked writes rest, without the lock while it does, and says whether all of it left.
func (o *outbox) writeLocked(write func([]byte) (int, error)) bool {
	buf := o.rest
	o.mu.Unlock()
	n, err := write(buf)
	o.mu.Lock()
	if err != nil {
		o.mu.Unlock()
		o.failed(fmt.Errorf("write: %w", err))
		o.mu.Lock()
		return false
	}
	if o.rest = buf[n:]; len(o.rest) > 0 {
		return false
	}
	if o.rest = nil; cap(buf) <= keepBuffer && n > 0 {
		o.spare = buf[:0]
	}
	return true
}

func (o *outbox) moreLocked() bool {
	return len(o.rest) > 0 || len(o.small) > 0 || len(o.bulk) > 0
}

// takeLocked returns what the next write carries: every small frame, then some bulk.
func (o *outbox) takeLocked() []byte {
	o.chunksLocked()
	buf := o.small
	o.small, o.spare = o.spare[:0], nil
	o.offered = o.added
	return buf
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
	for o.busy && !o.over && len(o.small)+len(o.rest) > backlog {
		o.written.Wait()
	}
}

package session

import "github.com/fleetinglambda/flame/internal/wire"

// message is one call or result on its way out.
type message struct {
	kind  wire.Kind
	call  uint64
	head  []byte // of its first frame's payload
	parts [][]byte
	size  int64 // of what is left of parts
	large bool  // it takes more than one frame
	last  int64 // where in the stream its last byte is; math.MaxInt64 until it is added
}

// load is what one write carries: frames, some with parts of messages that stay where they are.
type load struct {
	buf      []byte // the frames, without what stays where it is
	stays    []stay
	segments [][]byte // what is left to be written, in order
	room     [][]byte // the memory of segments
	left     int      // bytes of segments
}

// stay is memory that is written from where it is.
type stay struct {
	at   int // behind so many bytes of buf
	what []byte
}

// worthStaying is from which size on memory is written from where it is if the connection can: below, a copy is cheaper.
const worthStaying = 4 << 10

// size is how many bytes the load has so far.
func (l *load) size() int { return len(l.buf) + l.left }

// add adds a piece of a message, which stays where it is if it may.
func (l *load) add(piece []byte, may bool) {
	if !may || len(piece) < worthStaying {
		l.buf = append(l.buf, piece...)
		return
	}
	l.stays = append(l.stays, stay{len(l.buf), piece})
	l.left += len(piece)
}

// chunk adds the next frame of m.
func (l *load) chunk(m *message, may bool) {
	n := int(min(wire.MaxPayload, m.size))
	l.buf = wire.AppendHeader(l.buf, wire.Chunk, m.call, n)
	m.size -= int64(n)
	for n > 0 {
		piece := m.parts[0][:min(n, len(m.parts[0]))]
		l.add(piece, may)
		n -= len(piece)
		if m.parts[0] = m.parts[0][len(piece):]; len(m.parts[0]) == 0 {
			m.parts = m.parts[1:]
		}
	}
}

// seal ends adding.
func (l *load) seal() {
	from := 0
	l.segments = l.room[:0]
	for _, s := range l.stays {
		if s.at > from {
			l.segments = append(l.segments, l.buf[from:s.at])
		}
		l.segments = append(l.segments, s.what)
		from = s.at
	}
	if from < len(l.buf) {
		l.segments = append(l.segments, l.buf[from:])
	}
	l.room = l.segments
	l.left += len(l.buf)
}

// written takes off what was written.
func (l *load) written(n int) {
	l.left -= n
	for len(l.segments) > 0 && n >= len(l.segments[0]) {
		n -= len(l.segments[0])
		l.segments = l.segments[1:]
	}
	if n > 0 {
		l.segments[0] = l.segments[0][n:]
	}
	if l.left == 0 {
		l.forget()
	}
}

// letGo copies what is left, if it is somebody else's.
func (l *load) letGo() {
	if len(l.stays) == 0 || l.left == 0 {
		return
	}
	buf := make([]byte, 0, l.left)
	for _, s := range l.segments {
		buf = append(buf, s...)
	}
	l.forget()
	l.buf = buf
	l.seal()
}

// forget lets go of everything but the memory that is used again.
func (l *load) forget() {
	clear(l.stays)
	clear(l.room)
	l.buf, l.stays, l.segments, l.left = nil, l.stays[:0], nil, 0
}

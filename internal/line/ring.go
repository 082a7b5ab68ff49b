package line

import "math/bits"

const (
	// most is how much a ring keeps. It is what may be on its way, so that it bounds the speed over a long way: 4 MiB and
	// 100 ms there and back are 40 MiB/s.
	most = 4 << 20
	// reserve is what of it is left for frames that only say how far has been received: without them nothing would get free.
	reserve = 16 << 10
	// first is how much memory a ring begins with, and smallest the least that is let go of.
	first, smallest = 4 << 10, 64 << 10
	// worthwhile is the least room that a frame is made for.
	worthwhile = 4 << 10
)

// ring keeps the last part of a stream, from start to end.
type ring struct {
	mem        []byte // its length is a power of two, or 0
	start, end int64  // where in the stream
}

// kept is how many bytes there are.
func (r *ring) kept() int { return int(r.end - r.start) }

// room is how many bytes of a frame can be added; 0 if there are only a few.
func (r *ring) room() int {
	if room := most - reserve - headerSize - r.kept(); room >= worthwhile {
		return min(maxFrame, room)
	}
	return 0
}

// add puts bytes at the end.
func (r *ring) add(b []byte) {
	if r.kept()+len(b) > len(r.mem) {
		r.grow(r.kept() + len(b))
	}
	at := int(r.end) & (len(r.mem) - 1)
	n := copy(r.mem[at:], b)
	copy(r.mem, b[n:])
	r.end += int64(len(b))
}

// grow makes room for so many bytes.
func (r *ring) grow(need int) {
	r.move(max(first, 1<<bits.Len(uint(need-1))))
}

// move takes the bytes to memory of another size.
func (r *ring) move(size int) {
	grown := ring{mem: make([]byte, size), start: r.start, end: r.start}
	for at := r.start; at < r.end; at = grown.end {
		grown.add(r.from(at))
	}
	*r = grown
}

// from returns bytes from a place on: all, or those before the end of the memory.
func (r *ring) from(at int64) []byte {
	i := int(at) & (len(r.mem) - 1)
	return r.mem[i:min(len(r.mem), i+int(r.end-at))]
}

// release lets go of what comes before a place.
func (r *ring) release(to int64) { r.start = max(r.start, to) }

// rest lets go of memory that is not needed now.
func (r *ring) rest() {
	if r.kept() <= first && len(r.mem) > smallest {
		r.move(first)
	}
}

package codec

import (
	"strings"
	"unsafe"
)

// Large memory without pointers stays where it has arrived: the message's own memory becomes what a slice or a string has. It
// belongs to the value from then on, as large as it is, so this is for a message that is hardly anything else.

// Room returns memory for a message of n bytes, with anything in it. To zero it would take about as long as to receive it.
func Room(n int) []byte {
	var b strings.Builder // is the one that allocates without that
	b.Grow(n)
	b.WriteByte(0)                                            // so that there is a string, which has all that memory
	return unsafe.Slice(unsafe.StringData(b.String()), n)[:0] // no string is left that has the memory: it may be written
}

// padded says whether a few bytes may be ahead of n variables, so that they lie as variables of their type have to.
func (p *plan) padded(n int) bool {
	return p.flat && p.size*uintptr(n) >= bulk && p.typ.Align() > 1
}

// alignment is enough for all variables without pointers.
const alignment = 8

// align writes how many bytes follow, and these, so that what comes next is aligned if the message is.
func (e *encoder) align() {
	n := -(e.before + len(e.out) + 1) & (alignment - 1)
	e.uint(uint64(n))
	e.out = append(e.out, make([]byte, n)...)
}

// stays says whether a part of the message is so large a part of its memory that it can stay there.
func (d *decoder) stays(b []byte) bool {
	return d.given && len(b) >= bulk && len(b) >= cap(d.data)/2
}

// clone returns a copy of the next bytes, or these themselves, for n variables without pointers. They need no true type: the
// garbage collector has nothing to find in them, and memory of this size is aligned for all of them.
func (d *decoder) clone(p *plan, n int) unsafe.Pointer {
	b := d.bytes(uint64(p.size) * uint64(n))
	if b == nil {
		return nil
	}
	at := unsafe.Pointer(unsafe.SliceData(b))
	if d.stays(b) && uintptr(at)%uintptr(p.typ.Align()) == 0 {
		return at // aligned, and nobody else writes it any more
	}
	return unsafe.Pointer(unsafe.SliceData(append([]byte(nil), b...)))
}

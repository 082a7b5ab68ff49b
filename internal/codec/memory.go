package codec

import (
	"reflect"
	"unsafe"
)

const wordSize = unsafe.Sizeof(uintptr(0))

// wordsOf views an interface as its two words: type and data. Sound for any interface of the gc toolchain.
func wordsOf(v *any) *[2]unsafe.Pointer { return (*[2]unsafe.Pointer)(unsafe.Pointer(v)) }

// words views the interface at p, which must be one, as its two words.
func words(p unsafe.Pointer) *[2]unsafe.Pointer { return (*[2]unsafe.Pointer)(p) }

// descriptorOf returns the address of t's descriptor, which is what the interface reflect.Type holds.
func descriptorOf(t reflect.Type) unsafe.Pointer {
	return (*[2]unsafe.Pointer)(unsafe.Pointer(&t))[1]
}

// sliceHeader is a slice in memory. The pointer is typed as one, so that storing it tells the garbage collector.
type sliceHeader struct {
	data     unsafe.Pointer
	len, cap int
}

// slice views the slice at p, which must be one.
func slice(p unsafe.Pointer) *sliceHeader { return (*sliceHeader)(p) }

// word views the pointer-shaped value at p: a pointer, a map or a func value.
func word(p unsafe.Pointer) *unsafe.Pointer { return (*unsafe.Pointer)(p) }

// memory views n bytes at p, which lie in one object.
func memory(p unsafe.Pointer, n uintptr) []byte { return unsafe.Slice((*byte)(p), n) }

// nowhere is what pointers to variables without size point to.
func nowhere() unsafe.Pointer { return unsafe.Pointer(&struct{}{}) }

// allocate returns n zeroed variables of p's type in a row. The type is the true one, so that the garbage
// collector sees the pointers in them.
func (p *plan) allocate(n int) unsafe.Pointer {
	if n == 1 {
		return reflect.New(p.typ).UnsafePointer()
	}
	p.sliceOnce.Do(func() { p.sliceType = reflect.SliceOf(p.typ) })
	return reflect.MakeSlice(p.sliceType, n, n).UnsafePointer()
}

const (
	// many is after how many variables of one type, one after the other, the next are allocated several at once.
	many = 8
	// slab is how many bytes they are together at most. All are kept as long as one is.
	slab = 1 << 10
)

// stock is what is left of a slab.
type stock struct {
	plan *plan
	base unsafe.Pointer
	made int // how many variables it has
	left int // how many of them are not taken
	run  int // how many variables of the type have come one after the other
}

// one allocates one variable.
func (s *stock) one(p *plan) unsafe.Pointer {
	if s.plan != p {
		*s = stock{plan: p}
	}
	if s.run++; s.run <= many || p.size > slab/2 || p.size == 0 {
		return p.allocate(1)
	}
	if s.left == 0 {
		s.left = min(s.run-1, int(slab/p.size)) // no more than there have been
		s.base, s.made = p.allocate(s.left), s.left
	}
	s.left--
	return unsafe.Add(s.base, uintptr(s.made-1-s.left)*p.size) // a variable of the slab
}

// letters is what is left of memory for many short texts. All are kept as long as one is.
type letters struct {
	left  []byte // its length is what is taken
	short int    // how many short texts there were
}

// lettersSize is how many bytes are allocated at once.
const lettersSize = slab / 2

// text returns a copy of b.
func (l *letters) text(b []byte) string {
	if len(b) == 0 || len(b) >= longText {
		return string(b)
	}
	if l.short++; l.short <= many {
		return string(b)
	}
	if len(b) > cap(l.left)-len(l.left) {
		l.left = make([]byte, 0, lettersSize)
	}
	at := len(l.left)
	l.left = append(l.left, b...)
	return unsafe.String(&l.left[at], len(b)) // these bytes are never written again
}

// holds says whether among n variables of type t in a row there are m of type want in a row, at an offset.
func holds(t reflect.Type, n int, off uintptr, want reflect.Type, m int) bool {
	size, wanted := t.Size(), max(want.Size(), 1)
	if size == 0 || off >= size*uintptr(n) || uintptr(m) > size*uintptr(n)/wanted { // or m of them would be more than can be counted
		return false
	}
	i, rest := off/size, off%size
	if rest == 0 && t == want {
		return uintptr(m) <= uintptr(n)-i
	}
	switch t.Kind() {
	case reflect.Array:
		if holds(t.Elem(), n*t.Len(), off, want, m) {
			return true
		}
	case reflect.Struct:
		if f := fieldAt(t, rest); f >= 0 && holds(t.Field(f).Type, 1, rest-t.Field(f).Offset, want, m) {
			return true
		}
	}
	return want.Kind() == reflect.Array && want.Len() > 0 && holds(t, n, off, want.Elem(), m*want.Len())
}

// fieldAt returns the index of the field of struct t that covers an offset, or -1.
func fieldAt(t reflect.Type, off uintptr) int {
	for i := range t.NumField() {
		if f := t.Field(i); off >= f.Offset && off < f.Offset+f.Type.Size() {
			return i
		}
	}
	return -1
}

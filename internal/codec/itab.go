package codec

import (
	"errors"
	"reflect"
	"sync"
	"unsafe"

	"github.com/fleetinglambda/flame/internal/image"
)

// itab is a table of methods, as the runtime lays it out: what the first word of an interface with methods points to.
type itab struct {
	inter, typ uintptr
	hash       uint32 // a copy of the type's
	_          uint32
	fun        uintptr // the first method; more follow
}

// hashOffset is where a type's descriptor has its hash.
const hashOffset = 2 * wordSize

// readOnly is a run of read-only static memory.
type readOnly struct {
	im    *image.Image
	base  unsafe.Pointer
	start uintptr
	size  uintptr
}

// implementations returns, by interface type, the types that the program converts to it: those for which the compiler
// has made a table of methods. It is empty if such tables are not where and what they are thought to be.
var implementations = sync.OnceValue(func() map[reflect.Type][]reflect.Type {
	im, err := image.Self()
	if err != nil {
		return nil
	}
	known := errors.New("")
	first := words(unsafe.Pointer(&known))[0]
	all := runAround(im, uintptr(first)).tables()
	for _, t := range all[errorType] {
		if t == reflect.TypeOf(known) {
			return all
		}
	}
	return nil
})

const page = 4096

// runAround returns the read-only memory around an address, as far as it goes on without a gap of a page.
func runAround(im *image.Image, addr uintptr) readOnly {
	inside := func(a uintptr) bool {
		_, r := im.Locate(a)
		return r == image.ReadOnly
	}
	if !inside(addr) {
		return readOnly{}
	}
	start, end := addr&^(wordSize-1), addr
	for inside(start - page) {
		start -= page
	}
	for inside(start - wordSize) {
		start -= wordSize
	}
	for inside(end + page) {
		end += page
	}
	for inside(end + 1) {
		end++
	}
	off, _ := im.Locate(start)
	return readOnly{im, im.Pointer(off), start, end - start}
}

// holds says whether n bytes at an address, aligned to a word, are in the run.
func (m readOnly) holds(addr, n uintptr) bool {
	return addr >= m.start && addr%wordSize == 0 && addr-m.start <= m.size-n
}

// tables finds the tables of methods.
func (m readOnly) tables() map[reflect.Type][]reflect.Type {
	found := make(map[reflect.Type][]reflect.Type)
	for at := uintptr(0); at+unsafe.Sizeof(itab{}) <= m.size; at += wordSize {
		t := (*itab)(unsafe.Add(m.base, at)) // in the run, which is static memory
		if !m.holds(t.inter, page/16) || !m.holds(t.typ, hashOffset+wordSize) {
			continue
		}
		if *(*uint32)(unsafe.Add(m.base, t.typ-m.start+hashOffset)) != t.hash {
			continue
		}
		inter, typ := m.typeAt(t.inter), m.typeAt(t.typ)
		if _, r := m.im.Locate(t.fun); r != image.Text || inter == nil || typ == nil {
			continue
		}
		if inter.Kind() == reflect.Interface && inter.NumMethod() > 0 && typ.Kind() != reflect.Interface && typ.Implements(inter) {
			found[inter] = append(found[inter], typ)
		}
	}
	return found
}

// typeAt returns the type whose descriptor is at an address; nil if there cannot be one.
func (m readOnly) typeAt(addr uintptr) reflect.Type {
	off, _ := m.im.Locate(addr)
	t, err := m.im.TypeAt(off)
	if err != nil {
		return nil
	}
	return t
}

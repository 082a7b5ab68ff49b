package image

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"unsafe"
)

// The compiler makes a closure in three steps: it loads the address of the descriptor of struct { F uintptr; X0 … },
// calls the allocator, and stores the literal's entry PC at offset 0 of what that returned. A descriptor
// is bound to a PC only if the flow of registers shows all three: the allocation that took this
// descriptor is the base of the store of this PC.

// Refusals of bind.
var (
	errNoMaker = errors.New("where the program makes this closure was not found, so what it captured is not known: " +
		"move the code into a top-level function or a method and pass what it needs")
	errConflict = errors.New("the program makes this closure in more than one way, so what it captured is not certain: " +
		"move the code into a top-level function or a method and pass what it needs")
)

// bind returns the descriptor of the closures whose code begins at entry.
func (im *Image) bind(entry uintptr) (uintptr, error) {
	text := im.textOf(entry)
	// Functions of one source file lie together: look around the function's own code before looking everywhere.
	for _, far := range [...]uintptr{32 << 10, 512 << 10} {
		near := span{start: max(text.start, entry-min(entry, far)), end: min(text.end, entry+far)}
		d, err := im.agree(entry, im.loadsOf(entry, near))
		if err != errNoMaker {
			return d, err
		}
	}
	im.binder.indexed.Do(im.index)
	return im.agree(entry, im.binder.loads[entry])
}

// made returns the closures that the function at entry makes.
func (im *Image) made(entry uintptr) []binding {
	b, ok := im.binder.tracked.Load(entry)
	if !ok {
		b, _ = im.binder.tracked.LoadOrStore(entry, im.track(entry))
	}
	return b.([]binding)
}

// agree tracks every function that loads the entry's address; they must name the same descriptor.
func (im *Image) agree(entry uintptr, loads []uintptr) (uintptr, error) {
	var found uintptr
	done := make(map[uintptr]bool)
	for _, at := range loads {
		f := runtime.FuncForPC(at)
		if f == nil || done[f.Entry()] {
			continue
		}
		done[f.Entry()] = true
		for _, b := range im.made(f.Entry()) {
			if b.code != entry {
				continue
			}
			if found != 0 && found != b.desc {
				return 0, errConflict
			}
			found = b.desc
		}
	}
	if found == 0 {
		return 0, errNoMaker
	}
	return found, nil
}

// textOf returns the text that an address of code is in.
func (im *Image) textOf(addr uintptr) span {
	for _, s := range im.ranges {
		if addr >= s.start && addr < s.end {
			return s
		}
	}
	return span{}
}

// code returns the bytes of part of the text. They are mapped, readable and never change.
func code(s span) []byte {
	return unsafe.Slice((*byte)(at(s.start)), s.end-s.start)
}

// loadsOf returns where the code in s loads the address target.
func (im *Image) loadsOf(target uintptr, s span) (found []uintptr) {
	im.eachLoad(s, func(at, loaded uintptr) {
		if loaded == target {
			found = append(found, at)
		}
	})
	return found
}

// index remembers, for all code, where it loads addresses of code.
func (im *Image) index() {
	im.binder.loads = make(map[uintptr][]uintptr)
	for _, s := range im.ranges {
		if s.region != Text {
			continue
		}
		im.eachLoad(s, func(at, loaded uintptr) {
			if _, r := im.Locate(loaded); r == Text {
				im.binder.loads[loaded] = append(im.binder.loads[loaded], at)
			}
		})
	}
}

// eachLoad calls f for all that looks like LEAQ x(IP), reg. Some may be the middle of another
// instruction; tracking tells.
func (im *Image) eachLoad(s span, f func(at, loaded uintptr)) {
	const lea, size = 0x8d, 7
	b := code(s)
	for i := 1; ; i++ {
		n := bytes.IndexByte(b[i:], lea)
		if i += n; n < 0 || i+size-1 > len(b) {
			return
		}
		if rex, modrm := b[i-1], b[i+1]; rex&^0x04 == 0x48 && modrm&0xc7 == 0x05 {
			start := s.start + uintptr(i-1)
			disp := int32(binary.LittleEndian.Uint32(b[i+2:]))
			f(start, start+size+uintptr(disp))
		}
	}
}

// closureDescriptor checks with bounded reads that a descriptor is that of a closure object.
func (im *Image) closureDescriptor(addr uintptr) bool {
	if !im.maybeDescriptor(addr) || (*abiType)(at(addr)).kind&kindMask != uint8(reflect.Struct) {
		return false
	}
	t := typeOf(at(addr))
	if t.NumField() < 2 || t.Name() != "" || t.Field(0).Name != "F" || t.Field(0).Offset != 0 || t.Field(0).Type != reflect.TypeFor[uintptr]() {
		return false
	}
	if t.NumField() == 2 && t.Field(1).Name == "R" {
		return true
	}
	for i := 1; i < t.NumField(); i++ {
		if name := t.Field(i).Name; name != fmt.Sprint("X", i-1) && name != ".dict" {
			return false
		}
	}
	return true
}

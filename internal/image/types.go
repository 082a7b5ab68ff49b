package image

import (
	"reflect"
	"sync"
)

// KnownType returns the type whose descriptor is at an offset if the program's own list of types leads to it. Unlike
// TypeAt it may be asked with any offset, from anybody.
func (im *Image) KnownType(off uint64) (reflect.Type, bool) {
	im.knownOnce.Do(im.listTypes)
	t, ok := im.known[off]
	return t, ok
}

// typeList is the section in which the linker lists types, as 32-bit offsets from where the types begin.
type typeList struct {
	knownOnce sync.Once
	known     map[uint64]reflect.Type
	list      span
}

// listTypes finds all types that the linker's list leads to.
func (im *Image) listTypes() {
	im.known = make(map[uint64]reflect.Type)
	n := (im.list.end - im.list.start) / 4
	offs := make([]int32, n)
	for i := range offs {
		offs[i] = *(*int32)(at(im.list.start + uintptr(i)*4)) // inside the section
	}
	anchor := uintptr(descriptorOf(reflect.TypeFor[*Image]()))
	for _, off := range offs {
		if start := anchor - uintptr(off); im.allTypes(start, offs) {
			for _, off := range offs {
				im.know(typeOf(at(start + uintptr(off))))
			}
			return
		}
	}
}

// allTypes says whether types begin at start: then every offset in the list leads to one.
func (im *Image) allTypes(start uintptr, offs []int32) bool {
	for _, off := range offs {
		if !im.maybeDescriptor(start + uintptr(off)) {
			return false
		}
	}
	return true
}

// know adds a type and all types it is made of.
func (im *Image) know(t reflect.Type) {
	off, ok := im.TypeOffset(t)
	if _, done := im.known[off]; done || !ok {
		return
	}
	im.known[off] = t
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Chan:
		im.know(t.Elem())
	case reflect.Map:
		im.know(t.Key())
		im.know(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			im.know(t.Field(i).Type)
		}
	}
}

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
	for a := im.list.start; a+4 <= im.list.end; a += 4 {
		off := *(*int32)(at(a)) // inside the section
		if d := im.types + uintptr(off); im.maybeDescriptor(d) {
			im.know(typeOf(at(d)))
		}
	}
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

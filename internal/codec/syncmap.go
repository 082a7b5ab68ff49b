package codec

import (
	"reflect"
	"sync"
	"unsafe"
)

// A sync.Map hashes with a seed of its process. It crosses as the entries that Range finds.

var (
	syncMapType = reflect.TypeFor[sync.Map]()
	anyType     = reflect.TypeFor[any]()
)

// mapEntry is one of them.
type mapEntry struct{ Key, Value any }

// entered is a sync.Map that gets its entries when they are filled.
type entered struct {
	into    *sync.Map
	entries *[]mapEntry
}

// syncMap reads a sync.Map as a slice of entries.
func (e *encoder) syncMap(at unsafe.Pointer, in int32) {
	if e.glance > 0 {
		return
	}
	entries := new([]mapEntry)
	(*sync.Map)(at).Range(func(k, v any) bool { // at is a variable of that type
		*entries = append(*entries, mapEntry{k, v})
		return true
	})
	if e.maps == nil {
		e.maps = make(map[unsafe.Pointer]*[]mapEntry)
	}
	e.maps[at] = entries
	e.slice(slice(unsafe.Pointer(entries)), planOf(reflect.TypeFor[mapEntry]()), in, at)
}

func (e *encoder) writeSyncMap(at unsafe.Pointer) {
	entries := e.maps[at]
	if entries == nil {
		e.changed()
		return
	}
	e.writeSlice(slice(unsafe.Pointer(entries)), planOf(reflect.TypeFor[mapEntry]()))
}

// syncMap reads the entries of a sync.Map.
func (d *decoder) syncMap(at unsafe.Pointer) {
	entries := new([]mapEntry)
	d.slice(slice(unsafe.Pointer(entries)), planOf(reflect.TypeFor[mapEntry]()))
	d.entered = append(d.entered, entered{(*sync.Map)(at), entries}) // at is a variable of that type
}

// enterAll fills the sync.Maps, once their keys are whole.
func (d *decoder) enterAll() {
	n := 0
	for _, m := range d.entered {
		n += len(*m.entries)
	}
	if n > d.guard.size/2 { // an entry takes two bytes at least, so some are in more than one table
		d.fail("there cannot be %d entries of tables in %d bytes", n, d.guard.size)
		return
	}
	for _, m := range d.entered {
		for i := range *m.entries {
			d.checkKeys(planOf(anyType), unsafe.Pointer(&(*m.entries)[i].Key), 1)
		}
		if d.err != nil {
			return
		}
		for _, entry := range *m.entries {
			if _, ok := asked(func() bool { m.into.Store(entry.Key, entry.Value); return true }); !ok {
				d.fail("a %T is no key of a sync.Map", entry.Key)
				return
			}
		}
	}
}

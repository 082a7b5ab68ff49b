package codec

import (
	"reflect"
	"time"
	"unsafe"
)

// A time.Time crosses without its monotonic reading, which means nothing elsewhere, and with its zone as data: a
// runner may have no zone files, and another Local.

var locationType = reflect.TypeFor[time.Location]()

// timeMemory is how package time lays out a Time; the tests compare.
type timeMemory struct {
	wall     uint64
	ext      int64
	location *time.Location
}

// location returns what the time at an address says of its zone: nil for UTC.
func location(at unsafe.Pointer) unsafe.Pointer {
	return unsafe.Pointer((*timeMemory)(at).location)
}

// prepareLocal has package time read the zone files for Local, which it puts off until it needs them.
func prepareLocal(l unsafe.Pointer) {
	if (*time.Location)(l) == time.Local {
		_, _ = time.Unix(0, 0).In(time.Local).Zone()
	}
}

func (e *encoder) time(at unsafe.Pointer, in int32) {
	e.pointer(location(at), planOf(locationType), in, at)
}

func (e *encoder) writeTime(at unsafe.Pointer) {
	t := (*time.Time)(at).Round(0) // without the monotonic reading
	e.raw(memory(unsafe.Pointer(&t), unsafe.Offsetof(timeMemory{}.location)))
	e.writePointer(location(at), planOf(locationType))
}

const (
	wallMonotonic = 1 << 63
	wallNanos     = 1<<30 - 1
)

func (d *decoder) time(at unsafe.Pointer) {
	t := (*timeMemory)(at)
	*t = timeMemory{}
	d.raw(at, unsafe.Offsetof(t.location))
	if t.wall&wallMonotonic != 0 || t.wall&wallNanos >= uint64(time.Second) {
		d.fail("a time that package time cannot have made")
		*t = timeMemory{}
		return
	}
	t.location = (*time.Location)(d.pointer(planOf(locationType)))
	d.refer(unsafe.Pointer(&t.location))
}

// perChange is what it costs to check one of a zone's changes.
const perChange = 16

// checkLocations makes sure that zones refer to their own parts only, since package time relies on it.
func (d *decoder) checkLocations(o *object) {
	for i := range o.n {
		l := valueAt(o.plan, unsafe.Add(o.base, uintptr(i)*o.plan.size))
		zones, changes := l.FieldByName("zone"), l.FieldByName("tx")
		if !d.guard.spend(int64(changes.Len()) * perChange) { // zones may have one list of changes together
			d.failIf(errTooCostly)
			return
		}
		for j := range changes.Len() {
			if changes.Index(j).FieldByName("index").Uint() >= uint64(zones.Len()) {
				d.fail("a time zone that refers to what it does not have")
				valueAt(o.plan, o.base).SetZero()
				return
			}
		}
	}
}

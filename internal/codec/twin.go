package codec

import (
	"reflect"
	"time"
	"unsafe"

	"github.com/fleetinglambda/flame/internal/image"
)

// What a package-level pointer leads to, as in var Red = &Color{…}, lies in writable data, and both processes have one. It
// crosses as a copy and as its place. The receiver takes its own if it equals the copy, so that pointers to it compare as
// they did; if main has made something else of it here or there, the copy counts.

// maxTwins bounds how many of them one message may have; further ones are copies.
const maxTwins = 64

// twin is a copy of what this process may have its own of.
type twin struct {
	plan *plan
	copy unsafe.Pointer
	own  unsafe.Pointer
	refs []unsafe.Pointer // where pointers to the copy, or into it, are
}

// twinAt returns where an object lies in the executable's writable data, if it is one variable there.
func (e *encoder) twinAt(r *region) (off uint64, ok bool) {
	if r.kind != kindOne || r.count != 1 {
		return 0, false
	}
	off, in := e.im.Locate(uintptr(r.addr))
	return off, in == image.Writable
}

// ownTwin returns what this process has at a place, for an object of p's type; nil if that is not to be trusted.
func (d *decoder) ownTwin(off uint64, p *plan) unsafe.Pointer {
	own := d.im.Pointer(off)
	if d.trust != Trusted && (p.typ != locationType || own != unsafe.Pointer(time.UTC)) {
		return nil // who knows what is there
	}
	return own
}

// addTwin notes the last object as one that may have a twin.
func (d *decoder) addTwin(o *object, own unsafe.Pointer) {
	if own != nil && len(d.twins) < maxTwins {
		d.twins = append(d.twins, twin{plan: o.plan, copy: o.base, own: own})
	}
}

// refer notes that there is a pointer at an address, which may lead to a twin.
func (d *decoder) refer(at unsafe.Pointer) {
	for i := range d.twins {
		t := &d.twins[i]
		if off := uintptr(*word(at)) - uintptr(t.copy); off < t.plan.size {
			t.refs = append(t.refs, at)
			return
		}
	}
}

// takeOwn has pointers lead to what this process has, where that equals the copy. Maps have to be filled for that, and
// are filled again if pointers in them have changed.
func (d *decoder) takeOwn() {
	taken := false
	for _, t := range d.twins {
		if t.plan.typ == locationType {
			prepareLocal(t.own)
		}
		own, copied := reflect.NewAt(t.plan.typ, t.own), reflect.NewAt(t.plan.typ, t.copy) // a trusted message says what is there
		if len(t.refs) == 0 || !reflect.DeepEqual(own.Interface(), copied.Interface()) {
			continue
		}
		taken = true
		for _, at := range t.refs {
			if off := uintptr(*word(at)) - uintptr(t.copy); off < t.plan.size { // or it was found to be a sentinel
				*word(at) = unsafe.Add(t.own, off) // inside the object, as it was inside the copy
			}
		}
	}
	for i := range d.objects {
		if o := &d.objects[i]; taken && d.err == nil && o.kind == kindMap {
			valueAt(o.plan, unsafe.Pointer(&o.base)).Clear()
			d.enter(o)
		}
	}
}

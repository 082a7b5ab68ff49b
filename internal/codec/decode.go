package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"unsafe"

	"github.com/fleetinglambda/flame/internal/image"
)

// object is memory that the message describes, before or after it is filled.
type object struct {
	base    unsafe.Pointer
	plan    *plan // of one of its variables; the layout of a closure; the map type
	n       int
	kind    regionKind
	entries *entries
}

// decoder makes values of a message. It is kept and used again.
type decoder struct {
	im *image.Image
	source
	at     int   // how much of data is read; data itself stays, as the garbage collector wants to know where pointers go
	result *plan // untrusted bytes may name the types that it leads to
	err    error

	types     []*plan
	layouts   []*plan
	objects   []object
	texts     []string
	sentinels []sentinel
	errors    []*error // to be checked
	entered   []entered
	twins     []twin
	stock     stock
	letters   letters
	tables    []table // the maps' entries
	owed      int     // least bytes that the objects so far take in the rest of the message
	guard     guard
}

var decoders = sync.OnceValue(func() *sync.Pool {
	return &sync.Pool{New: func() any { return new(decoder) }}
})

func newDecoder(im *image.Image, from source) *decoder {
	d := decoders().Get().(*decoder)
	d.im, d.source = im, from
	d.guard.size = len(from.data)
	return d
}

func (d *decoder) release() {
	if cap(d.objects) > kept || cap(d.texts) > kept || cap(d.sentinels) > kept || cap(d.errors) > kept {
		return
	}
	for _, t := range d.tables {
		t.kind.done(t.entries)
	}
	clear(d.tables)
	clear(d.objects)
	clear(d.texts)
	clear(d.sentinels)
	clear(d.errors)
	clear(d.entered)
	clear(d.twins)
	*d = decoder{
		tables:  d.tables[:0],
		twins:   d.twins[:0],
		entered: d.entered[:0],
		types:   d.types[:0], layouts: d.layouts[:0], objects: d.objects[:0],
		texts: d.texts[:0], sentinels: d.sentinels[:0], errors: d.errors[:0],
	}
	decoders().Put(d)
}

// decode fills the variable at base.
func (d *decoder) decode(p *plan, base unsafe.Pointer) error {
	if p.refused != nil {
		return fmt.Errorf("decode: a %v cannot cross: %s", p.typ, p.refused.reason)
	}
	if len(d.data) == 0 || d.data[0] != version {
		return errors.New("decode: these bytes are no message")
	}
	d.at = 1
	d.result = p
	d.readTypes()
	d.readLayouts()
	objects := d.count(1)
	root := d.readObjects(objects, p, base)
	for i := 0; i < len(d.objects) && d.err == nil; i++ {
		d.fill(&d.objects[i])
	}
	d.finish()
	if d.err == nil && root != base {
		copyVariable(p, base, root)
	}
	return d.err
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("decode: "+format, args...)
	}
}

// rest is what is not read yet.
func (d *decoder) rest() []byte { return d.data[d.at:] }

// left is how many bytes are not read yet.
func (d *decoder) left() int { return len(d.data) - d.at }

// uint reads a number; 0 after an error.
func (d *decoder) uint() uint64 {
	rest := d.rest()
	if len(rest) > 0 && rest[0] < 0x80 && d.err == nil {
		d.at++
		return uint64(rest[0])
	}
	if len(rest) > 1 && rest[1] < 0x80 && d.err == nil {
		d.at += 2
		return uint64(rest[0]&0x7f) | uint64(rest[1])<<7
	}
	v, n := binary.Uvarint(rest)
	if n <= 0 || d.err != nil {
		d.fail("a number is cut off or too large")
		return 0
	}
	d.at += n
	return v
}

// count reads how many of something follow that take at least so many bytes each; 0 after an error.
func (d *decoder) count(each int) int {
	n := d.uint()
	if n > uint64(d.left()/max(each, 1)) {
		d.fail("there cannot be %d parts in the %d bytes that are left", n, d.left())
		return 0
	}
	return int(n)
}

// bytes takes n bytes; nil after an error.
func (d *decoder) bytes(n uint64) []byte {
	if n > uint64(d.left()) || d.err != nil {
		d.fail("%d bytes are left where %d should be", d.left(), n)
		return nil
	}
	b := d.rest()[:n]
	d.at += int(n)
	return b
}

func (d *decoder) readTypes() {
	d.types = append(d.types, d.result)
	for range d.count(1) {
		d.types = append(d.types, d.typeAt(d.uint()))
		if d.err != nil {
			return
		}
	}
}

// typeAt returns the plan of a type that a message names; nil after an error.
func (d *decoder) typeAt(off uint64) *plan {
	if d.err != nil {
		return nil
	}
	if d.trust != Trusted {
		p := typesFrom(d.im, d.result.typ).at(off)
		if p == nil {
			d.fail("the type at %#x is none that may be in this result: "+
				"an interface may hold basic types, types that the result's own type names, and error types: "+
				"return it in a variable of its own type, or in an interface with methods that it implements", off)
		}
		return p
	}
	p, err := planAt(d.im, off)
	if err != nil {
		d.fail("%w", err)
	}
	return p
}

// planAt returns the plan of the type at an offset.
func planAt(im *image.Image, off uint64) (*plan, error) {
	if p, ok := plansByOffset().known()[off]; ok {
		return p, nil
	}
	t, err := im.TypeAt(off)
	if err != nil {
		return nil, err
	}
	return plansByOffset().keep(off, planOf(t)), nil
}

var plansByOffset = sync.OnceValue(newFound[uint64, *plan])

// named reads a type's number; nil after an error.
func (d *decoder) named(id uint64) *plan {
	if id >= uint64(len(d.types)) {
		d.fail("there is no type %d", id)
		return nil
	}
	return d.types[id]
}

// readObjects makes the objects, empty, and returns where the root variable will be.
func (d *decoder) readObjects(n int, p *plan, base unsafe.Pointer) unsafe.Pointer {
	d.objects = slices.Grow(d.objects, n)
	for i := range n {
		d.readObject(i == 0, p, base)
		if d.err == nil && d.owed > d.left() {
			d.fail("%d objects do not fit in %d bytes", i+1, d.left())
		}
		if d.err != nil {
			return base
		}
	}
	if p.size == 0 {
		d.uint()
		return base
	}
	return d.reference(d.uint(), p, 1)
}

func (d *decoder) readObject(first bool, root *plan, base unsafe.Pointer) {
	tag := d.uint()
	o := object{kind: regionKind(tag & 7), n: 1}
	switch o.kind {
	case kindClosure:
		if tag>>3 >= uint64(len(d.layouts)) {
			d.fail("there is no layout %d", tag>>3)
			return
		}
		o.plan = d.layouts[tag>>3]
	case kindOwn:
		o = d.own()
	case kindOne, kindMany, kindMap, kindStatic:
		if o.plan = d.named(tag >> 3); o.plan == nil {
			return
		}
		d.copied(&o, first, root, base)
	case kindTwin:
		if o.plan, o.kind = d.named(tag>>3), kindOne; o.plan == nil {
			return
		}
		own := d.ownTwin(d.uint(), o.plan)
		d.copied(&o, false, root, base)
		d.addTwin(&o, own)
	default:
		d.fail("there is no object of kind %d", o.kind)
	}
	if d.err != nil {
		return
	}
	if o.kind == kindClosure {
		o.base = o.plan.allocate(1)
	}
	d.objects = append(d.objects, o)
}

// copied makes an object that will be filled, or finds the one that this process has.
func (d *decoder) copied(o *object, first bool, root *plan, base unsafe.Pointer) {
	if o.kind == kindStatic {
		o.base = d.static(d.uint())
		return
	}
	if o.plan.refused != nil {
		d.fail("a %v cannot cross: %s", o.plan.typ, o.plan.refused.reason)
		return
	}
	least := o.plan.least
	if o.kind == kindMap {
		if o.plan.mapping == nil {
			d.fail("%v is no map", o.plan.typ)
			return
		}
		least = o.plan.mapping.key.get().least + o.plan.mapping.elem.get().least
	}
	if o.kind != kindOne {
		o.n = d.count(least)
	}
	if o.kind == kindMap || !o.plan.flat {
		d.owed += least * o.n
	}
	if d.err != nil || d.owed > d.left() {
		d.fail("the objects do not fit in %d bytes", d.left())
		return
	}
	if o.kind != kindMap && o.plan.padded(o.n) {
		d.bytes(d.uint())
	}
	switch {
	case o.kind == kindMap:
		o.base = o.plan.mapping.make(o.plan, o.n)
	case first && o.kind == kindOne && o.plan == root:
		o.base = base
	case o.plan.flat && o.plan.checks == nil && o.n > cloned/max(int(o.plan.size), 1):
		o.base = d.clone(o.plan, o.n)
		return
	case o.n == 1:
		o.base = d.stock.one(o.plan)
	default:
		o.base = o.plan.allocate(o.n)
	}
	if o.kind != kindMap && o.plan.flat {
		d.variables(o.plan, o.base, o.n)
	}
}

// cloned is above which size flat memory is not zeroed before it is filled.
const cloned = 1 << 10

// static returns the address of a package-level variable.
func (d *decoder) static(off uint64) unsafe.Pointer {
	p := d.im.Pointer(off)
	if d.trust != Trusted || p == nil {
		d.fail("a pointer to a package-level variable of a type that cannot cross: return what is in it")
		return nil
	}
	return p
}

// reference returns the address of n variables of a type at the place that a tag and what follows name.
func (d *decoder) reference(tag uint64, p *plan, n int) unsafe.Pointer {
	id := (tag - tagFirst) >> 1
	if tag < tagFirst || id >= uint64(len(d.objects)) {
		d.fail("there is no object %d", id)
		return nil
	}
	o := &d.objects[id]
	if tag&1 == 0 {
		if o.plan == p && o.n >= n && o.kind != kindMap {
			return o.base
		}
		return d.inside(o, 0, p, n)
	}
	return d.inside(o, d.uint(), p, n)
}

// inside returns the address of n variables of a type at an offset in an object.
func (d *decoder) inside(o *object, off uint64, p *plan, n int) unsafe.Pointer {
	if d.err != nil {
		return nil
	}
	switch o.kind {
	case kindOne, kindMany, kindOwn, kindStatic:
		if holds(o.plan.typ, o.n, uintptr(off), p.typ, n) {
			return unsafe.Add(o.base, off) // inside the object, checked by its type
		}
	}
	d.fail("there are no %d variables of type %v at offset %d of a %v", n, p.typ, off, o.plan.typ)
	return nil
}

// copyVariable copies a variable of p's type as an assignment does.
func copyVariable(p *plan, to, from unsafe.Pointer) {
	valueAt(p, to).Set(valueAt(p, from))
}

package codec

import (
	"reflect"
	"unsafe"
)

// fill reads what is in an object.
func (d *decoder) fill(o *object) {
	switch o.kind {
	case kindOne, kindMany:
		if !o.plan.flat { // or it is filled already
			d.variables(o.plan, o.base, o.n)
		}
	case kindClosure:
		d.variables(o.plan, o.base, 1)
	case kindMap:
		k := o.plan.mapping
		o.entries = k.room(o.n)
		d.tables = append(d.tables, table{k, o.entries})
		d.variables(k.key.get(), o.entries.keys, o.n)
		d.variables(k.elem.get(), o.entries.elems, o.n)
	}
}

// finish does what has to wait until the objects are filled.
func (d *decoder) finish() {
	d.checkBoxes()
	for i := range d.objects {
		if o := &d.objects[i]; d.err == nil && o.plan.typ == locationType && o.kind <= kindMany && d.trust != Trusted {
			d.checkLocations(o)
		}
	}
	for _, s := range d.sentinels {
		if d.err == nil {
			d.identify(s)
		}
	}
	for i := range d.objects {
		if o := &d.objects[i]; d.err == nil && o.kind == kindMap {
			d.enter(o)
		}
	}
	if d.err == nil {
		d.takeOwn()
	}
	if d.err == nil {
		d.enterAll()
	}
	if d.err == nil {
		d.checkErrors()
	}
	if d.err == nil && d.left() > 0 {
		d.fail("%d bytes are left over", d.left())
	}
}

func (d *decoder) enter(o *object) {
	if d.checkKeys(o.plan.mapping.key.get(), o.entries.keys, o.n); d.err != nil {
		return
	}
	if err := o.plan.mapping.fill(o.plan, o.base, o.entries); err != nil {
		d.fail("%w", err)
	}
}

// variables reads n variables in a row.
func (d *decoder) variables(p *plan, base unsafe.Pointer, n int) {
	if p.size == 0 || n == 0 {
		return
	}
	if p.flat {
		d.raw(base, p.size*uintptr(n))
		if d.trust == Trusted || p.checks == nil {
			return
		}
		for i := range n {
			d.checkBools(p, unsafe.Add(base, uintptr(i)*p.size))
		}
		return
	}
	for i := 0; i < n && d.err == nil; i++ {
		d.variable(p, unsafe.Add(base, uintptr(i)*p.size))
	}
}

// raw reads memory without pointers.
func (d *decoder) raw(at unsafe.Pointer, n uintptr) {
	if b := d.bytes(uint64(n)); b != nil {
		copy(memory(at, n), b)
	}
}

func (d *decoder) checkBools(p *plan, base unsafe.Pointer) {
	if !boolsAreRight(base, p.checks) {
		d.fail("a bool in a %v is neither 0 nor 1", p.typ)
		clear(memory(base, p.size)) // only flat variables come here
	}
}

func (d *decoder) variable(p *plan, base unsafe.Pointer) {
	for i := range p.ops {
		o := &p.ops[i]
		at := unsafe.Add(base, o.off)
		switch o.kind {
		case opFlat:
			if o.n == wordSize && d.left() >= int(wordSize) { // as most are
				*(*[wordSize]byte)(at) = [wordSize]byte(d.rest())
				d.at += int(wordSize)
				continue
			}
			d.raw(at, o.n)
		case opPointer:
			*word(at) = d.pointer(o.elem.get())
			if len(d.twins) > 0 {
				d.refer(at)
			}
		case opSlice:
			d.slice(slice(at), o.elem.get())
		case opString:
			*(*string)(at) = d.string()
		case opEface, opIface:
			d.face(o, at)
		case opFunc:
			*word(at) = d.function()
		case opMap:
			*word(at) = d.mapped(o.elem.get())
		case opTime:
			d.time(at)
		case opType:
			*word(at) = d.typeValue()
		case opLent:
			d.borrow(o, at)
		case opEncoded:
			d.encoded(o, at)
		case opSyncMap:
			d.syncMap(at)
		case opArray:
			d.variables(o.sub, at, int(o.n))
		case opEntry:
			*(*uintptr)(at) = uintptr(d.im.Pointer(p.closure.Entry))
		case opDict:
			*word(at) = d.im.Pointer(d.uint())
		}
		if d.err != nil {
			break
		}
	}
	if d.trust != Trusted && p.checks != nil {
		d.checkFields(p, base)
	}
}

// checkFields makes the bools among a variable's fields right.
func (d *decoder) checkFields(p *plan, base unsafe.Pointer) {
	if boolsAreRight(base, p.checks) {
		return
	}
	d.fail("a bool in a %v is neither 0 nor 1", p.typ)
	for i := range p.ops {
		if o := &p.ops[i]; o.kind == opFlat {
			clear(memory(unsafe.Add(base, o.off), o.n))
		}
	}
}

func (d *decoder) pointer(p *plan) unsafe.Pointer {
	switch tag := d.uint(); {
	case tag == tagNil:
		return nil
	case tag == tagEmpty && p.size == 0:
		return nowhere()
	default:
		return d.reference(tag, p, 1)
	}
}

func (d *decoder) slice(s *sliceHeader, p *plan) {
	tag := d.uint()
	if tag == tagNil {
		*s = sliceHeader{}
		return
	}
	if tag == tagEmpty {
		n := d.uint()
		if n > 0 && p.size > 0 || n > 1<<40 {
			d.fail("a slice of %d %v without memory", n, p.typ)
			n = 0
		}
		*s = sliceHeader{nowhere(), int(n), int(n)}
		return
	}
	at := d.left()
	id := (tag - tagFirst) >> 1
	off := uint64(0)
	if tag&1 == 1 {
		off = d.uint()
	}
	n, more := d.uint(), d.uint()
	if n == 0 || n > 1<<40 || more > 1<<40 || id >= uint64(len(d.objects)) || p.size == 0 {
		d.fail("a slice of %d (capacity %d) in object %d, %d bytes before the end", n, more, id, at)
		return
	}
	if data := d.inside(&d.objects[id], off, p, int(n+more)); data != nil {
		*s = sliceHeader{data, int(n), int(n + more)}
	}
}

func (d *decoder) string() string {
	tag := d.uint()
	if tag&1 == 1 {
		if tag>>1 >= uint64(len(d.texts)) {
			d.fail("there is no text %d", tag>>1)
			return ""
		}
		return d.texts[tag>>1]
	}
	b := d.bytes(tag >> 1)
	if d.stays(b) {
		s := unsafe.String(unsafe.SliceData(b), len(b)) // nobody writes these bytes any more
		d.texts = append(d.texts, s)
		return s
	}
	s := d.letters.text(b)
	if len(s) >= longText {
		d.texts = append(d.texts, s)
	}
	return s
}

func (d *decoder) mapped(p *plan) unsafe.Pointer {
	tag := d.uint()
	if tag == tagNil {
		return nil
	}
	id := (tag - tagFirst) >> 1
	if tag < tagFirst || tag&1 == 1 || id >= uint64(len(d.objects)) || d.objects[id].kind != kindMap || d.objects[id].plan != p {
		d.fail("object %d is no %v", id, p.typ)
		return nil
	}
	return d.objects[id].base
}

func (d *decoder) typeValue() unsafe.Pointer {
	off := d.uint()
	if off == 0 {
		return nil
	}
	if p := d.typeAt(off); p != nil {
		return descriptorOf(p.typ)
	}
	return nil
}

// valueAt views the variable of p's type at an address.
func valueAt(p *plan, at unsafe.Pointer) reflect.Value { return reflect.NewAt(p.typ, at).Elem() }

func (d *decoder) face(o *op, at unsafe.Pointer) {
	tag := d.uint()
	if tag == faceSentinel {
		off := d.uint()
		d.sentinels = append(d.sentinels, sentinel{at, off})
		if tag = d.uint(); tag < faceFirst {
			d.fail("a sentinel without a copy")
		}
	}
	if tag == faceNil || d.err != nil {
		*words(at) = [2]unsafe.Pointer{}
		return
	}
	p := d.named((tag - faceFirst) >> 2)
	if p == nil {
		return
	}
	t := p.tabFor(o.typ)
	if t == nil || p.refused != nil {
		d.fail("a %v does not go into a %v", p.typ, o.typ)
		return
	}
	d.faceValue(p, t, (tag-faceFirst)&3, at)
	if o.typ == errorType && d.trust != Trusted {
		d.errors = append(d.errors, (*error)(at))
	}
}

// faceValue reads what an interface holds. The interface's type word is set last, so that it is always whole.
func (d *decoder) faceValue(p *plan, tab unsafe.Pointer, form uint64, at unsafe.Pointer) {
	w := words(at)
	*w = [2]unsafe.Pointer{}
	switch {
	case form == formWord && p.direct:
		d.variable(p, unsafe.Add(at, wordSize))
	case form == formHere && !p.direct && (p.small() || p.size == 0):
		box := p.allocate(1)
		d.variables(p, box, 1)
		w[1] = box
	case form == formBox && !p.direct:
		w[1] = d.reference(d.uint(), p, 1)
		d.box(w[1], p)
	default:
		d.fail("a %v is not in an interface in the form %d", p.typ, form)
	}
	if d.err == nil {
		w[0] = tab
	}
}

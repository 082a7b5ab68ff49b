package codec

import (
	"encoding/binary"
	"slices"
	"unsafe"
)

// version is the first byte of a message. The executables are the same on both sides: it only tells a message
// from other bytes.
const version = 0xF1

// What stands for a pointer, slice or func value: nil, something without an object, or a reference.
const (
	tagNil    = 0
	tagEmpty  = 1 // a pointer to a variable without size; a slice without memory: its length follows
	tagStatic = 1 // a func value that captured nothing: its offset follows
	tagFirst  = 2 // the first reference: 2 + object<<1, + 1 if an offset follows
)

// What stands for an interface: nil, a sentinel, or a type and how its value is there.
const (
	faceNil      = 0
	faceSentinel = 1 // the offset of a variable follows, then a copy
	faceFirst    = 2 // 2 + type<<2 + form
)

const (
	formWord = iota // the data word itself
	formHere        // the value, in place
	formBox         // a reference to it
)

// bulk is from which size on memory is a part of its own in the message. It is only copied for a snapshot.
const bulk = 64 << 10

// write makes the message of the regions found.
func (e *encoder) write(o Options) (Message, error) {
	e.merge()
	if e.err == nil && e.bytes/4 > o.limit() { // regions may have been counted more than once
		e.tooLarge(o, e.bytes)
	}
	if e.err != nil {
		return nil, e.err
	}
	e.snapshot, e.before = o.Snapshot, o.Behind
	e.out = append(e.newPart(e.room()), version)
	e.writeTypes()
	e.writeObjects()
	e.ref(0, 0)
	for i := range e.regions {
		if e.regions[i].leader == int32(i) && e.err == nil {
			e.contents(&e.regions[i])
		}
	}
	e.endPart()
	if o.Returns != nil && e.err == nil {
		o.Returns.comesBack(e.regions)
	}
	if n := e.parts.Size(); e.err == nil && n > o.limit() {
		e.tooLarge(o, n)
	} else if e.err == nil && n >= NoticeFrom && o.Notice != nil {
		o.Notice.Large(humanBytes(n), joinSteps(e.steps(e.biggest.from, e.biggest.where)), humanBytes(e.biggest.size))
	}
	return e.parts, e.err
}

// room guesses the message's length, without what is a part of its own.
func (e *encoder) room() int {
	return int(min(32+6*int64(len(e.types))+6*int64(len(e.regions))+e.bytes, bulk))
}

// deskSize is up to which size a part is put together on the desk, which is kept, and copied from there to memory of just its size.
const deskSize = 8 * bulk

// newPart returns where the next part is put together.
func (e *encoder) newPart(room int) []byte {
	out := e.desk
	e.desk = nil
	return slices.Grow(out[:0], room)
}

// endPart adds what was put together to the message.
func (e *encoder) endPart() {
	e.before += len(e.out)
	if cap(e.out) > deskSize {
		e.parts = append(e.parts, e.out)
		return
	}
	e.parts = append(e.parts, append([]byte(nil), e.out...))
	e.desk = e.out[:0]
}

func (e *encoder) uint(v uint64) {
	if v < 0x80 {
		e.out = append(e.out, byte(v))
		return
	}
	if v < 1<<14 {
		e.out = append(e.out, byte(v)|0x80, byte(v>>7))
		return
	}
	e.out = binary.AppendUvarint(e.out, v)
}

func (e *encoder) writeTypes() {
	e.uint(uint64(len(e.types) - 1))
	for _, p := range e.types[1:] {
		e.uint(p.off)
	}
}

func (e *encoder) writeObjects() {
	e.uint(uint64(len(e.layouts)))
	for _, p := range e.layouts {
		e.uint(uint64(len(p.wire)))
		e.out = append(e.out, p.wire...)
	}
	e.uint(uint64(e.objects))
	for i := range e.regions {
		if r := &e.regions[i]; r.leader == int32(i) {
			e.writeObject(r)
		}
	}
}

// layoutID returns the number of a closure's layout, which is len(e.layouts) for a new one.
func (e *encoder) layoutID(p *plan) int {
	for i, l := range e.layouts {
		if l == p {
			return i
		}
	}
	return len(e.layouts)
}

func (e *encoder) writeObject(r *region) {
	switch r.kind {
	case kindClosure:
		e.uint(uint64(e.layoutID(r.whole))<<3 | uint64(kindClosure))
	case kindMap:
		e.uint(uint64(e.typeID(r.plan))<<3 | uint64(kindMap))
		e.uint(uint64(r.more.entries.n))
	case kindStatic:
		e.uint(uint64(e.typeID(r.plan))<<3 | uint64(kindStatic))
		off, _ := e.im.Locate(uintptr(r.addr))
		e.uint(off)
	case kindOwn:
		e.uint(uint64(kindOwn))
		e.uint(uint64(len(r.more.own.name)))
		e.out = append(e.out, r.more.own.name...)
	default:
		p := r.made()
		id := uint64(e.typeID(p)) << 3
		if off, ok := e.twinAt(r); ok {
			e.uint(id | uint64(kindTwin))
			e.uint(off)
		} else if r.count == 1 {
			e.uint(id | uint64(kindOne))
		} else {
			e.uint(id | uint64(kindMany))
			e.uint(uint64(r.count))
		}
		if p.padded(r.count) {
			e.align()
		}
		if p.flat { // nothing in it has to wait until the receiver has all objects
			e.variables(p, r.addr, r.count)
		}
	}
}

// ref refers to region i, or to a place in it.
func (e *encoder) ref(i int32, shift uintptr) {
	r := &e.regions[i]
	o := &e.regions[r.leader]
	start := o.addr
	if o.kind == kindOwn {
		start = o.more.own.start(r.addr)
	}
	off := uintptr(r.addr) + shift - uintptr(start)
	if off == 0 {
		e.uint(tagFirst + uint64(o.object)<<1)
		return
	}
	e.uint(tagFirst + uint64(o.object)<<1 + 1)
	e.uint(uint64(off))
}

// contents writes what is in an object.
func (e *encoder) contents(r *region) {
	e.next = -1
	switch r.kind {
	case kindOne, kindMany:
		if p := r.made(); !p.flat {
			if p == r.plan {
				e.next = int(r.refs) - 1
			}
			e.variables(p, r.addr, r.count)
		}
	case kindClosure:
		e.variable(r.whole, r.addr)
	case kindMap:
		k := r.plan.mapping
		e.variables(k.key.get(), r.more.entries.keys, r.more.entries.n)
		e.variables(k.elem.get(), r.more.entries.elems, r.more.entries.n)
	}
}

// variables writes n variables in a row.
func (e *encoder) variables(p *plan, base unsafe.Pointer, n int) {
	if p.size == 0 || n == 0 {
		return
	}
	if p.flat {
		e.raw(memory(base, p.size*uintptr(n)))
		return
	}
	for i := range n {
		e.variable(p, unsafe.Add(base, uintptr(i)*p.size))
	}
}

// raw writes bytes, or has the caller of Encode write them from where they are.
func (e *encoder) raw(b []byte) {
	if len(b) < bulk {
		e.out = append(e.out, b...)
		return
	}
	if e.snapshot {
		b = append([]byte(nil), b...)
	}
	e.endPart()
	e.before += len(b)
	e.parts = append(e.parts, b)
	e.out = e.newPart(0)
}

func (e *encoder) variable(p *plan, base unsafe.Pointer) {
	for i := range p.ops {
		o := &p.ops[i]
		at := unsafe.Add(base, o.off)
		switch o.kind {
		case opFlat:
			if o.n == wordSize { // as most are
				e.out = append(e.out, (*[wordSize]byte)(at)[:]...)
				continue
			}
			e.raw(memory(at, o.n))
		case opPointer:
			e.writePointer(*word(at), o.elem.get())
		case opSlice:
			e.writeSlice(slice(at), o.elem.get())
		case opString:
			e.writeString(*(*string)(at))
		case opEface, opIface:
			e.writeFace(o, at)
		case opFunc:
			e.writeFunction(*word(at))
		case opMap:
			e.writeReference(*word(at), o.elem.get())
		case opTime:
			e.writeTime(at)
		case opType:
			e.writeType(*word(at))
		case opArray:
			e.variables(o.sub, at, int(o.n))
		case opLent:
			e.writeLent(o, at)
		case opEncoded:
			e.writeEncoded(at)
		case opSyncMap:
			e.writeSyncMap(at)
		case opDict:
			off, _ := e.im.Locate(uintptr(*word(at)))
			e.uint(off)
		}
	}
}

func (e *encoder) writePointer(to unsafe.Pointer, p *plan) {
	switch {
	case to == nil:
		e.uint(tagNil)
	case p.size == 0 && e.find(to, p) < 0:
		e.uint(tagEmpty)
	default:
		e.refer(e.met(to, p))
	}
}

// met returns the region at an address. Mostly it is the next of those that were met when what is written was looked at.
func (e *encoder) met(to unsafe.Pointer, p *plan) int32 {
	if e.next >= 0 && e.next < len(e.refs) {
		i := e.refs[e.next]
		if r := &e.regions[i]; r.addr == to && r.plan == p {
			e.next++
			return i
		}
	}
	return e.find(to, p)
}

// writeReference refers to the region at an address.
func (e *encoder) writeReference(to unsafe.Pointer, p *plan) {
	if to == nil {
		e.uint(tagNil)
		return
	}
	e.refer(e.find(to, p))
}

// refer refers to a region, if there is one.
func (e *encoder) refer(i int32) {
	if i < 0 {
		e.changed()
		return
	}
	e.ref(i, 0)
}

// changed says that the value is not what it was when its regions were collected.
func (e *encoder) changed() {
	if e.err == nil {
		e.err = &SendError{Path: "the value", Reason: "it was changed while it was being sent: leave it alone until the call returns"}
	}
}

func (e *encoder) writeSlice(s *sliceHeader, p *plan) {
	if s.data == nil {
		e.uint(tagNil)
		return
	}
	if s.len == 0 || p.size == 0 {
		e.uint(tagEmpty)
		e.uint(uint64(s.len))
		return
	}
	i := e.met(s.data, p)
	if i < 0 {
		e.changed()
		return
	}
	e.ref(i, 0)
	o := &e.regions[e.regions[i].leader]
	room := (uintptr(o.addr) + o.made().size*uintptr(o.count) - uintptr(s.data)) / p.size
	if o.kind == kindOwn {
		room = o.more.own.room(s.data) / p.size
	}
	if s.len > int(room) {
		e.changed()
	}
	e.uint(uint64(s.len))
	e.uint(uint64(min(s.cap, int(room)) - s.len))
}

// longText is from which length on a string is sent once only.
const longText = 64

// writeString writes a string, or which of the long ones it is.
func (e *encoder) writeString(s string) {
	if len(s) < longText {
		e.uint(uint64(len(s)) << 1)
		e.out = append(e.out, s...)
		return
	}
	t := text{unsafe.Pointer(unsafe.StringData(s)), len(s)}
	for i := len(e.texts) - 1; i >= max(0, len(e.texts)-memoryOfTexts); i-- {
		if e.texts[i] == t {
			e.uint(uint64(i)<<1 | 1)
			return
		}
	}
	e.texts = append(e.texts, t)
	e.uint(uint64(len(s)) << 1)
	e.raw(unsafe.Slice(unsafe.StringData(s), len(s))) // only read from, as strings are
}

// memoryOfTexts is among how many of the last long strings a string is looked for.
const memoryOfTexts = 16

func (e *encoder) writeFunction(f unsafe.Pointer) {
	if f == nil || !e.inReadOnly(f) {
		e.writeReference(f, functionPlan())
		return
	}
	off, _ := e.im.Locate(uintptr(f))
	e.uint(tagStatic)
	e.uint(off)
}

func (e *encoder) writeType(d unsafe.Pointer) {
	off, _ := e.im.Locate(uintptr(d))
	e.uint(off)
}

func (e *encoder) writeFace(o *op, at unsafe.Pointer) {
	w := words(at)
	if w[0] == nil {
		e.uint(faceNil)
		return
	}
	if o.kind == opIface && o.typ == errorType {
		if off, ok := e.im.Variable(uintptr(w[0]), uintptr(w[1])); ok {
			e.uint(faceSentinel)
			e.uint(off)
		}
	}
	p := dynamic(o, at)
	tag := faceFirst + uint64(e.typeID(p))<<2
	switch {
	case p.direct:
		e.uint(tag + formWord)
		e.variable(p, unsafe.Add(at, wordSize))
	case p.small() || p.size == 0:
		e.uint(tag + formHere)
		e.variable(p, w[1])
	default:
		e.uint(tag + formBox)
		e.writeReference(w[1], p)
	}
}

package codec

import (
	"reflect"
	"slices"
	"sync"
	"unsafe"

	"github.com/fleetinglambda/flame/internal/image"
)

// regionKind says what a region is.
type regionKind uint8

const (
	kindOne     regionKind = iota // one variable
	kindMany                      // several in a row
	kindMap                       // a map
	kindClosure                   // a func value that captured something
	kindStatic                    // a package-level variable that cannot be copied: the receiver takes its own
	kindOwn                       // declared with Register: the receiver takes its own
	kindTwin                      // in messages: one variable of the executable, which the receiver may have just so
)

// region is memory that the value reaches. There may be millions, so it is kept small.
type region struct {
	addr  unsafe.Pointer
	plan  *plan
	count int // variables in a row; of the whole object once they are merged
	reach int // how many there is room for: a slice's capacity

	whole *plan // of the object that this leader has become, if that is not plan; of a closure, its layout
	more  *more // of a map, and of what is declared

	at     uint32 // where in the region from it was that led here
	from   int32
	leader int32 // the region whose object this one is in; itself if it is the object
	object int32 // the leader's number in the message
	refs   int32 // where in the encoder's refs its own begin, plus 1; 0 unknown
	kind   regionKind
}

// more is what few regions have.
type more struct {
	entries *entries
	own     *registered
}

func (r *region) size() uintptr { return r.plan.size * uintptr(r.count) }

// made is the plan of the object that this leader has become.
func (r *region) made() *plan {
	if r.whole != nil {
		return r.whole
	}
	return r.plan
}

// offset says where in a region an address is, for the path in errors.
func (e *encoder) offset(in int32, at unsafe.Pointer) uint32 {
	if in < 0 || e.regions[in].kind == kindMap {
		return 0
	}
	return uint32(uintptr(at) - uintptr(e.regions[in].addr))
}

// place is the inverse of offset.
func (e *encoder) place(in int32, off uint32) unsafe.Pointer {
	if in < 0 {
		return nil
	}
	return unsafe.Add(e.regions[in].addr, off)
}

// table is the entries of a map.
type table struct {
	kind    *mapping
	entries *entries
}

// span is a part of a region that has to be looked at.
type span struct {
	region   int32
	from, to int
}

// encoder finds what a value reaches and writes it. It is kept and used again.
type encoder struct {
	im       *image.Image
	regions  []region
	index    index
	work     []span
	types    []*plan
	typeIDs  map[*plan]int
	layouts  []*plan
	objects  int32   // how many the message has
	refs     []int32 // the regions that pointers and slices lead to, in the order in which they were met
	next     int     // in refs, for the pointer that is written next; -1 unknown
	order    []spot
	dealt    []spot // for sort
	texts    []text
	bytes    int64 // about how long the message will be
	biggest  biggest
	glance   int // if not 0, look at so many regions only
	lender   Lender
	may      *typeSet                       // if not nil, interfaces hold these types only
	declared bool                           // something is, with Register
	own      map[unsafe.Pointer][]byte      // what has encoded itself
	maps     map[unsafe.Pointer]*[]mapEntry // what is in sync.Maps
	err      error

	tables []table // the maps' entries

	out      []byte
	desk     []byte // where small messages are put together
	parts    Message
	snapshot bool
	before   int // how many bytes are ahead of what is in out
}

// biggest is the largest part met so far.
type biggest struct {
	size  int64
	from  int32
	where unsafe.Pointer
}

// text is a long string that is in the message already.
type text struct {
	data unsafe.Pointer
	len  int
}

var encoders = sync.OnceValue(func() *sync.Pool {
	return &sync.Pool{New: func() any { return new(encoder) }}
})

func newEncoder(im *image.Image) *encoder {
	e := encoders().Get().(*encoder)
	e.im = im
	return e
}

// kept is up to how many regions an encoder may have had to be kept.
const kept = 1 << 16

// release forgets what was encoded.
func (e *encoder) release() {
	if cap(e.regions) > kept || len(e.texts) > kept || cap(e.work) > kept {
		return
	}
	for _, t := range e.tables {
		t.kind.done(t.entries)
	}
	clear(e.tables)
	clear(e.regions)
	clear(e.texts)
	clear(e.types)
	clear(e.layouts)
	clear(e.typeIDs)
	e.index.reset()
	*e = encoder{
		regions: e.regions[:0], index: e.index, work: e.work[:0], types: e.types[:0], typeIDs: e.typeIDs,
		layouts: e.layouts[:0], refs: e.refs[:0], order: e.order[:0], dealt: e.dealt[:0], texts: e.texts[:0], desk: e.desk, tables: e.tables[:0],
	}
	encoders().Put(e)
}

// collect finds all regions that the variable at base reaches.
func (e *encoder) collect(base unsafe.Pointer, p *plan) {
	if p.refused != nil {
		e.refuse(-1, nil, p)
		return
	}
	e.typeID(p) // the first: the receiver knows it
	e.declared = len(registry().list()) > 0
	e.region(region{addr: base, plan: p, count: 1, reach: 1, from: -1})
	for len(e.work) > 0 && e.err == nil {
		s := e.work[len(e.work)-1]
		e.work = e.work[:len(e.work)-1]
		r := &e.regions[s.region]
		if r.kind == kindMap {
			en, kind := r.more.entries, r.plan.mapping
			e.scan(kind.key.get(), en.keys, 0, en.n, s.region)
			e.scan(kind.elem.get(), en.elems, 0, en.n, s.region)
			continue
		}
		if r.kind == kindClosure {
			e.scanOne(r.whole, r.addr, s.region)
			continue
		}
		if s.from == 0 {
			r.refs = int32(len(e.refs)) + 1
		}
		e.scan(r.plan, r.addr, s.from, s.to, s.region)
	}
}

// region notes memory that was reached and returns its number. What is new of it will be looked at.
func (e *encoder) region(r region) int32 {
	if i := e.find(r.addr, r.plan); i >= 0 {
		known := &e.regions[i]
		known.reach = max(known.reach, r.reach)
		if r.count > known.count {
			e.later(i, known.count, r.count)
			known.count = r.count
			known.kind = max(known.kind, r.kind)
		}
		return i
	}
	*e.newRegion() = r
	return e.enter()
}

// newRegion returns a region at the end, which is zero: what lies behind the regions always is.
func (e *encoder) newRegion() *region {
	n := len(e.regions)
	if n == cap(e.regions) {
		e.regions = slices.Grow(e.regions, max(few, n))
	}
	e.regions = e.regions[:n+1]
	return &e.regions[n]
}

// enter makes the last region known, which is one that find has just not found.
func (e *encoder) enter() int32 {
	i := int32(len(e.regions) - 1)
	r := &e.regions[i]
	r.leader = i
	e.index.add(e.regions, i)
	if r.kind < kindStatic && r.kind != kindMap {
		e.later(i, 0, r.count)
	}
	return i
}

// later has a part of a region looked at.
func (e *encoder) later(i int32, from, to int) {
	r := &e.regions[i]
	size := int64(r.plan.size) * int64(to-from)
	if size > e.biggest.size {
		e.biggest = biggest{size, r.from, e.place(r.from, r.at)}
	}
	e.bytes += size + 8
	if r.kind != kindMap && (r.plan.flat || e.glance > 0 && len(e.regions) > e.glance) {
		return
	}
	if e.glance > 0 {
		to = min(to, from+e.glance)
	}
	e.work = append(e.work, span{i, from, to})
}

// scan looks at variables of a region for what they lead to.
func (e *encoder) scan(p *plan, base unsafe.Pointer, from, to int, in int32) {
	if p.flat {
		return
	}
	for i := from; i < to && e.err == nil; i++ {
		e.scanOne(p, unsafe.Add(base, uintptr(i)*p.size), in)
	}
}

func (e *encoder) scanOne(p *plan, base unsafe.Pointer, in int32) {
	for i := range p.ops {
		o := &p.ops[i]
		at := unsafe.Add(base, o.off)
		switch o.kind {
		case opPointer:
			if to, p := *word(at), o.elem.get(); to != nil || p.refused != nil {
				e.pointer(to, p, in, at)
			}
		case opSlice:
			e.slice(slice(at), o.elem.get(), in, at)
		case opString:
			e.string(*(*string)(at), in, at)
		case opEface, opIface:
			e.face(o, at, in)
		case opFunc:
			e.function(*word(at), in, at)
		case opMap:
			e.mapped(*word(at), o.elem.get(), in, at)
		case opTime:
			e.time(at, in)
		case opArray:
			e.scan(o.sub, at, 0, int(o.n), in)
		case opType:
			e.typeValue(*word(at), in, at)
		case opLent:
			e.lent(o, at, in)
		case opEncoded:
			e.encoding(o, at, in)
		case opSyncMap:
			e.syncMap(at, in)
		}
		if e.err != nil {
			return
		}
	}
}

// typeValue makes sure that a type can be named.
func (e *encoder) typeValue(d unsafe.Pointer, in int32, at unsafe.Pointer) {
	if _, r := e.im.Locate(uintptr(d)); d != nil && r != image.ReadOnly {
		e.err = e.sendError(in, at, nil, "the type was made at run time by reflect: use a type that the program declares")
	}
}

func (e *encoder) string(s string, in int32, at unsafe.Pointer) {
	e.bytes += int64(len(s))
	if int64(len(s)) > e.biggest.size {
		e.biggest = biggest{int64(len(s)), in, at}
	}
}

func (e *encoder) pointer(to unsafe.Pointer, p *plan, in int32, at unsafe.Pointer) {
	if to == nil {
		if p.refused != nil && !registry().has(p.typ) { // as a pointer that is not nil is: the type decides, not the moment
			e.err = e.sendError(in, at, p, registry().advice(to, p, e.owner(in, p.typ)))
		}
		return
	}
	if own := e.ownOf(to, p); own != nil {
		e.region(region{addr: to, plan: p, count: 1, from: in, at: e.offset(in, at), kind: kindOwn, more: &more{own: own}})
		return
	}
	if p.refused != nil {
		e.refusePointer(to, p, in, at)
		return
	}
	if p.size == 0 {
		return
	}
	if e.lender != nil && p.inImage && e.inReadOnly(to) { // a dictionary of generic code is such
		e.static(to, p, in, at)
		return
	}
	if p.location {
		prepareLocal(to)
	}
	i := e.find(to, p)
	if i < 0 {
		r := e.newRegion()
		r.addr, r.plan, r.count, r.reach, r.from, r.at = to, p, 1, 1, in, e.offset(in, at)
		i = e.enter()
	}
	e.refs = append(e.refs, i)
}

// refusePointer looks for another way than to copy what cannot be copied.
func (e *encoder) refusePointer(to unsafe.Pointer, p *plan, in int32, at unsafe.Pointer) {
	if _, r := e.im.Locate(uintptr(to)); r == image.Writable && p.inImage {
		e.static(to, p, in, at)
		return
	}
	e.err = e.sendError(in, at, p, registry().advice(to, p, e.owner(in, p.typ)))
}

// static notes a variable of the executable: the receiver takes its own.
func (e *encoder) static(to unsafe.Pointer, p *plan, in int32, at unsafe.Pointer) {
	e.typeID(p)
	e.region(region{addr: to, plan: p, count: 1, from: in, at: e.offset(in, at), kind: kindStatic})
}

func (e *encoder) slice(s *sliceHeader, p *plan, in int32, at unsafe.Pointer) {
	if own := registry().around(s.data); own != nil && s.len > 0 && p.size > 0 {
		e.region(region{addr: s.data, plan: p, count: 1, from: in, at: e.offset(in, at), kind: kindOwn, more: &more{own: own}})
		return
	}
	if p.refused != nil {
		e.refuse(in, at, p)
		return
	}
	if s.len == 0 || p.size == 0 {
		return
	}
	e.refs = append(e.refs, e.region(region{addr: s.data, plan: p, count: s.len, reach: s.cap, from: in, at: e.offset(in, at), kind: kindMany}))
}

func (e *encoder) face(o *op, at unsafe.Pointer, in int32) {
	w := words(at)
	if w[0] == nil {
		return
	}
	p := dynamic(o, at)
	if p.refused != nil {
		e.refuse(in, at, p)
		return
	}
	if e.may != nil && e.may.at(p.off) == nil {
		e.unnamed(p, in, at)
		return
	}
	e.typeID(p)
	switch {
	case p.direct:
		e.scanOne(p, unsafe.Add(at, wordSize), in)
	case p.small():
		e.bytes += int64(p.size)
		if p.text {
			e.string(*(*string)(w[1]), in, at)
		}
	case p.size > 0:
		e.region(region{addr: w[1], plan: p, count: 1, reach: 1, from: in, at: e.offset(in, at)})
	}
}

// smallBox is up to which size a value in an interface crosses in place, not as an object of its own.
const smallBox = 256

func (p *plan) small() bool { return p.text || p.flat && p.size <= smallBox }

func (e *encoder) function(f unsafe.Pointer, in int32, at unsafe.Pointer) {
	if f == nil || e.inReadOnly(f) || e.find(f, functionPlan()) >= 0 {
		return
	}
	c, err := e.im.Closure(f)
	if err != nil {
		e.err = e.refusedClosure(in, at, err)
		return
	}
	p := layoutOf(e.im, c)
	i := e.region(region{addr: f, plan: functionPlan(), whole: p, count: 1, from: in, at: e.offset(in, at), kind: kindClosure})
	if p.refused != nil {
		e.refuse(i, nil, p)
	}
}

// inReadOnly says whether something lies in read-only data, as func values do that captured nothing.
func (e *encoder) inReadOnly(p unsafe.Pointer) bool {
	_, r := e.im.Locate(uintptr(p))
	return r == image.ReadOnly
}

// ownOf returns what is declared as each process's own at an address, or nil.
func (e *encoder) ownOf(to unsafe.Pointer, p *plan) *registered {
	if !e.declared {
		return nil
	}
	return registry().find(to, p.typ)
}

// functionPlan stands for all closures where regions are looked for.
var functionPlan = sync.OnceValue(func() *plan { return planOf(reflect.TypeFor[func()]()) })

func (e *encoder) mapped(m unsafe.Pointer, p *plan, in int32, at unsafe.Pointer) {
	k := p.mapping
	for _, part := range [...]*plan{k.key.get(), k.elem.get()} {
		if part.refused != nil {
			e.refuse(in, at, part)
			return
		}
	}
	if m == nil || e.find(m, p) >= 0 {
		return
	}
	e.typeID(p)
	r := region{addr: m, plan: p, from: in, at: e.offset(in, at), kind: kindMap, more: new(more)}
	i := e.region(r)
	if e.glance > 0 {
		return
	}
	r.more.entries = k.read(p, m)
	e.tables = append(e.tables, table{k, r.more.entries})
	e.regions[i].count = r.more.entries.n
	e.bytes += int64(r.more.entries.n) * int64(k.key.get().size+k.elem.get().size)
	e.later(i, 0, r.more.entries.n)
}

// typeID gives a type a number in the message.
func (e *encoder) typeID(p *plan) int {
	const few = 12
	if len(e.types) <= few {
		for i := len(e.types) - 1; i >= 0; i-- {
			if e.types[i] == p {
				return i
			}
		}
	} else if i, ok := e.typeIDs[p]; ok {
		return i
	}
	e.types = append(e.types, p)
	if len(e.types) > few {
		e.numberTypes(len(e.types) == few+1)
	}
	return len(e.types) - 1
}

func (e *encoder) numberTypes(all bool) {
	if e.typeIDs == nil {
		e.typeIDs = make(map[*plan]int)
	}
	from := len(e.types) - 1
	if all {
		from = 0
	}
	for i := from; i < len(e.types); i++ {
		e.typeIDs[e.types[i]] = i
	}
}

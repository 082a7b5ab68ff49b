package codec

import (
	"context"
	"io"
	"reflect"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/fleetinglambda/flame/internal/image"
)

// opKind says how a piece of a variable crosses.
type opKind uint8

const (
	opFlat    opKind = iota // n bytes without pointers, padding included
	opPointer               // elem is what it points to
	opSlice                 // elem is the elements' type
	opString
	opEface // an interface without methods
	opIface // an interface with methods
	opFunc
	opMap     // elem is the map type itself
	opTime    // a time.Time
	opType    // what a reflect.Type holds: a pointer to a descriptor
	opArray   // n variables of sub, for arrays whose elements have pointers
	opEntry   // the code address a closure begins with
	opDict    // the dictionary of generic code, in read-only data
	opLent    // what stays on this side
	opEncoded // what encodes itself
	opSyncMap // a sync.Map
)

// op is one piece of a variable.
type op struct {
	kind opKind
	off  uintptr
	n    uintptr
	typ  reflect.Type
	elem *link
	sub  *plan
}

// link is a plan made when it is first needed, so that types may refer to themselves.
type link struct {
	typ  reflect.Type
	plan atomic.Pointer[plan]
}

func (l *link) get() *plan {
	if p := l.plan.Load(); p != nil {
		return p
	}
	return l.make()
}

// make is apart from get so that the compiler inlines that.
func (l *link) make() *plan {
	p := planOf(l.typ)
	l.plan.Store(p)
	return p
}

// plan says how variables of one type cross. It is made once per type and never changed.
type plan struct {
	typ      reflect.Type
	size     uintptr
	ops      []op     // in the order of their offsets; they cover the variable
	flat     bool     // no pointers: crosses as it is
	text     bool     // a string
	location bool     // a time.Location
	direct   bool     // an interface holds such a value in its data word
	least    int      // a variable takes at least so many bytes of a message
	checks   []check  // where bools lie in flat pieces
	refused  *refusal // why such variables cannot cross

	off     uint64 // of the descriptor in the image
	inImage bool   // false: made by reflect at run time

	encoding encodingOf // of a type that crosses by its own

	closure *image.Closure // for a closure's layout
	wire    string         // what a message says of the layout
	mapping *mapping       // for a map type

	lastTab   atomic.Pointer[tab] // what tabFor found last
	sliceOnce sync.Once
	sliceType reflect.Type // set by sliceOnce
}

// check is a run of bools, or of structs that have bools in them.
type check struct {
	off, stride uintptr
	n           int
	inside      []check // nil: a bool
}

var plans sync.Map // reflect.Type -> *plan

var (
	timeType = reflect.TypeFor[time.Time]()
	typeType = reflect.TypeOf(reflect.TypeFor[int]()) // the pointer type behind the interface reflect.Type

	contextType = reflect.TypeFor[context.Context]()
	streamType  = reflect.TypeFor[interface { // all that something lent may be asked for
		io.ReadWriteSeeker
		io.ReaderAt
		io.WriterAt
		io.Closer
	}]()
)

// planOf returns the plan for a type.
func planOf(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	p, _ := plans.LoadOrStore(t, compile(t))
	return p.(*plan)
}

func compile(t reflect.Type) *plan {
	p := &plan{typ: t, size: t.Size()}
	if im, err := image.Self(); err == nil {
		p.off, p.inImage = im.TypeOffset(t)
	}
	p.add(t, 0, "")
	p.byItself()
	p.finish()
	if !p.inImage && p.refused == nil {
		p.refused = &refusal{typ: t, reason: "the type was made at run time by reflect: use a type that the program declares"}
	}
	p.text = t.Kind() == reflect.String
	p.location = t == locationType
	p.direct = isDirect(t)
	if t.Kind() == reflect.Map {
		p.mapping = &mapping{key: &link{typ: t.Key()}, elem: &link{typ: t.Elem()}, typed: typedMaps[[2]reflect.Type{t.Key(), t.Elem()}]}
	}
	return p
}

// pointsToType says whether pointers of a type lead to descriptors of types, as reflect.Type holds them and the
// runtime's errors have them. They lie in the executable.
func pointsToType(t reflect.Type) bool {
	return t == typeType || t.Kind() == reflect.Pointer && t.Elem().PkgPath() == "internal/abi" && t.Elem().Name() == "Type"
}

// isDirect asks the compiler's own code how it keeps a zero value of the type in an interface.
func isDirect(t reflect.Type) bool {
	if t.Size() != wordSize || t.Kind() == reflect.Interface {
		return false
	}
	v := reflect.Zero(t).Interface()
	return wordsOf(&v)[1] == nil
}

func (p *plan) finish() {
	p.flat = true
	for i := range p.ops {
		o := &p.ops[i]
		p.flat = p.flat && o.kind == opFlat
		switch o.kind {
		case opFlat:
			p.least += int(o.n)
		case opArray:
			p.least += int(o.n) * o.sub.least
		case opEntry:
		default:
			p.least++
		}
	}
	if p.flat {
		p.least = int(p.size)
		p.ops = nil
		if p.size > 0 {
			p.ops = []op{{kind: opFlat, n: p.size, typ: p.typ}}
		}
	}
}

// add appends the ops for a piece of type t.
func (p *plan) add(t reflect.Type, off uintptr, path string) {
	if p.refused != nil {
		return
	}
	if isLent(t) {
		p.ops = append(p.ops, op{kind: opLent, off: off, typ: t})
		return
	}
	if t == syncMapType {
		p.ops = append(p.ops, op{kind: opSyncMap, off: off, n: t.Size(), typ: t})
		return
	}
	if p.typ != t && encoded(t) != noEncoding {
		if own := planOf(t); own.encoding != noEncoding {
			p.ops = append(p.ops, op{kind: opEncoded, off: off, n: t.Size(), typ: t, sub: own})
			return
		}
	}
	if r := refuse(t); r != "" {
		p.refused = &refusal{path: path, typ: t, reason: r, shared: isLock(t)}
		return
	}
	o := op{off: off, typ: t, n: t.Size()}
	switch t.Kind() {
	case reflect.Bool:
		p.checks = append(p.checks, check{off: off, n: 1})
		fallthrough
	default:
		p.addFlat(o)
		return
	case reflect.Struct:
		if t != timeType {
			p.addStruct(t, off, path)
			return
		}
		o.kind = opTime
	case reflect.Array:
		p.addArray(t, off, path)
		return
	case reflect.Pointer:
		o.kind, o.elem = opPointer, &link{typ: t.Elem()}
		if pointsToType(t) {
			o.kind = opType
		}
	case reflect.Slice:
		o.kind, o.elem = opSlice, &link{typ: t.Elem()}
	case reflect.Map:
		o.kind, o.elem = opMap, &link{typ: t}
	case reflect.String:
		o.kind = opString
	case reflect.Func:
		o.kind = opFunc
	case reflect.Interface:
		o.kind = opIface
		if t.NumMethod() == 0 {
			o.kind = opEface
		}
	}
	p.ops = append(p.ops, o)
}

// addFlat joins a piece without pointers to the one before it, over padding.
func (p *plan) addFlat(o op) {
	if o.n == 0 {
		return
	}
	if len(p.ops) > 0 {
		if last := &p.ops[len(p.ops)-1]; last.kind == opFlat && o.off-(last.off+last.n) < wordSize {
			last.n = o.off + o.n - last.off
			return
		}
	}
	p.ops = append(p.ops, o)
}

func (p *plan) addStruct(t reflect.Type, off uintptr, path string) {
	for i := range t.NumField() {
		f := t.Field(i)
		if staysBehind(t, f.Name) {
			continue
		}
		p.add(f.Type, off+f.Offset, path+"."+f.Name)
	}
}

// spread is up to how many elements an array is taken apart into single ops.
const spread = 4

func (p *plan) addArray(t reflect.Type, off uintptr, path string) {
	if t.Len() == 0 {
		return
	}
	if t.Len() <= spread {
		for i := range t.Len() {
			p.add(t.Elem(), off+uintptr(i)*t.Elem().Size(), path+"["+strconv.Itoa(i)+"]")
		}
		return
	}
	sub := compile(t.Elem())
	if sub.refused != nil {
		r := *sub.refused
		r.path = path + "[0]" + r.path
		p.refused = &r
		return
	}
	if !sub.flat {
		p.ops = append(p.ops, op{kind: opArray, off: off, n: uintptr(t.Len()), typ: t, sub: sub})
		return
	}
	if sub.checks != nil {
		p.checks = append(p.checks, check{off: off, stride: sub.size, n: t.Len(), inside: sub.checks})
	}
	p.addFlat(op{off: off, n: t.Size(), typ: t})
}

// boolsAreRight says whether every bool in the variable at base is 0 or 1. Others would be undefined.
func boolsAreRight(base unsafe.Pointer, checks []check) bool {
	for _, c := range checks {
		at := unsafe.Add(base, c.off)
		if c.inside == nil {
			if *(*byte)(at) > 1 {
				return false
			}
			continue
		}
		for i := range c.n {
			if !boolsAreRight(unsafe.Add(at, uintptr(i)*c.stride), c.inside) {
				return false
			}
		}
	}
	return true
}

package codec

import (
	"reflect"
	"unsafe"

	"github.com/fleetinglambda/flame/internal/image"
)

// Some things stay where they are and are used from the other side, through something that stands in for them: a
// context, a logger, a reader or writer. The type of a variable decides, not what is in it. What a stand-in is and does, the
// codec does not know: a Lender keeps the original and a Borrower makes the stand-in.

// Lender keeps on this side what a message lends to the other.
type Lender interface {
	// Lend returns what the other side's Borrow is given for v, which is in a variable of type as and not nil.
	Lend(v any, as reflect.Type) ([]byte, error)
}

// Borrower makes what stands in for what the other side keeps.
type Borrower interface {
	// Borrow returns something that can be assigned to a variable of type as.
	Borrow(ref []byte, as reflect.Type) (any, error)
}

// Receive is Decode for a trusted message that may lend things. The memory of data goes with it: a large part may stay where it
// is and be a slice or a string of *ptr, so nobody may write to data any more.
func Receive(data []byte, ptr any, b Borrower) error {
	return decode(source{data: data, trust: Trusted, given: true, borrower: b}, ptr, nil)
}

// Take is Decode for a result, which is not trusted and may lend what comesBack. The memory of data goes with it, as with Receive.
func Take(data []byte, ptr any, b Borrower) error {
	return decode(source{data: data, trust: Untrusted, given: true, borrower: b}, ptr, nil)
}

// Lends says whether a result of type t may lend something.
func Lends(t reflect.Type) bool {
	im, err := image.Self()
	return err == nil && typesFrom(im, t).lends
}

// What stands for a variable of a lent type.
const (
	lentNil   = 0
	lentCopy  = 1 // a type follows: the value has no size, so there is nothing to share
	lentFirst = 2 // 2 + the length of what Borrow is given, which follows
)

// isLent says whether variables of a type hold what is lent.
func isLent(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Interface:
		return t == contextType || t.NumMethod() > 0 && streamType.Implements(t)
	case reflect.Chan:
		return t.ChanDir() != reflect.BothDir
	case reflect.Pointer:
		switch t.Elem().PkgPath() + "." + t.Elem().Name() {
		case "log/slog.Logger", "log.Logger":
			return true
		}
	}
	return false
}

// comesBack says whether a variable of a type may be in a result and lend what it holds: its caller has to be able to
// close it.
func comesBack(t reflect.Type) bool {
	_, closes := t.MethodByName("Close")
	return closes && t.Kind() == reflect.Interface && isLent(t)
}

// lent looks at a variable of a lent type.
func (e *encoder) lent(o *op, at unsafe.Pointer, in int32) {
	if o.typ.Kind() == reflect.Chan && *word(at) != nil {
		if refused := cannotPass(o.typ.Elem()); refused != nil {
			e.err = e.sendError(in, at, nil, refused.Reason)
			e.err.(*SendError).Path += arrow + refused.Path
			return
		}
	}
	switch {
	case *word(at) == nil:
	case o.typ.Kind() == reflect.Interface && dynamic(o, at).size == 0:
		e.typeID(dynamic(o, at))
	case e.glance > 0:
	case e.lender == nil, e.may != nil && !comesBack(o.typ):
		e.err = e.sendError(in, at, nil, whyNotBack(o.typ))
	}
}

// cannotPass says why values of a type cannot pass through a channel.
func cannotPass(elem reflect.Type) *SendError {
	refused, _ := checkAs(anElement, elem).(*SendError)
	return refused
}

// whyNotBack is why a variable of a lent type cannot be in a result or an error, and the way out.
func whyNotBack(t reflect.Type) string {
	why := article(t.String()) + " " + t.String() + " is lent to a call and does not come back with "
	switch {
	case comesBack(t):
		return why + "an error: return it as a result"
	case t.Kind() == reflect.Interface && t != contextType:
		return why + "a result that cannot be closed: hold it as an io.ReadCloser or the like, or read it in the function and return the bytes"
	case t.Kind() == reflect.Chan:
		return why + "a result: return a slice of the values, or send them on a channel that the function captures"
	}
	return why + "a result: leave it out of what the function returns"
}

// writeLent writes a variable of a lent type.
func (e *encoder) writeLent(o *op, at unsafe.Pointer) {
	if *word(at) == nil {
		e.uint(lentNil)
		return
	}
	if o.typ.Kind() == reflect.Interface {
		if p := dynamic(o, at); p.size == 0 {
			e.uint(lentCopy)
			e.uint(uint64(e.typeID(p)))
			return
		}
	}
	ref, err := e.lender.Lend(reflect.NewAt(o.typ, at).Elem().Interface(), o.typ) // at is a variable of that type
	if err != nil && e.err == nil {
		e.err = e.sendError(-1, nil, nil, "lend "+article(o.typ.String())+" "+o.typ.String()+": "+err.Error())
	}
	e.uint(lentFirst + uint64(len(ref)))
	e.out = append(e.out, ref...)
}

// borrow reads a variable of a lent type.
func (d *decoder) borrow(o *op, at unsafe.Pointer) {
	switch tag := d.uint(); {
	case tag == lentNil || d.err != nil:
	case tag == lentCopy:
		d.standing(o, at)
	case d.borrower == nil:
		d.fail("a %v is lent where nothing can be", o.typ)
	default:
		v, err := d.borrower.Borrow(d.bytes(tag-lentFirst), o.typ)
		if err != nil || reflect.TypeOf(v) == nil || !reflect.TypeOf(v).AssignableTo(o.typ) {
			d.fail("what stands in for a %v is a %T, %v", o.typ, v, err)
			return
		}
		reflect.NewAt(o.typ, at).Elem().Set(reflect.ValueOf(v)) // at is a variable of that type
	}
}

// standing sets an interface to a value without size.
func (d *decoder) standing(o *op, at unsafe.Pointer) {
	p := d.named(d.uint())
	if p == nil || p.size > 0 || o.typ.Kind() != reflect.Interface || p.tabFor(o.typ) == nil {
		d.fail("a %v is nothing without size", o.typ)
		return
	}
	d.faceValue(p, p.tabFor(o.typ), formHere, at)
}

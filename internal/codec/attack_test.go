package codec

import (
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/fleetinglambda/flame/internal/image"
)

// forged is a message as a hostile runner may write one. Type 0 is the result's own, those in types come after it.
type forged struct {
	types   []reflect.Type
	objects []piece
	root    []byte // nil: object 0
	after   []byte
}

// piece is one object: what announces it, with what is in it if that has no pointers, and else what is in it.
type piece struct{ head, body []byte }

// bytes returns the message.
func (f forged) bytes(tb testing.TB) []byte {
	tb.Helper()
	im, err := image.Self()
	if err != nil {
		tb.Fatal(err)
	}
	out := []byte{version}
	out = append(out, u(len(f.types))...)
	for _, t := range f.types {
		off, ok := im.TypeOffset(t)
		if !ok {
			tb.Fatalf("%v is not in the program", t)
		}
		out = append(out, u(int(off))...)
	}
	out = append(out, 0) // no closures
	out = append(out, u(len(f.objects))...)
	for _, o := range f.objects {
		out = append(out, o.head...)
	}
	if f.root == nil {
		f.root = ref(0)
	}
	out = append(out, f.root...)
	for _, o := range f.objects {
		out = append(out, o.body...)
	}
	return append(out, f.after...)
}

// u writes numbers.
func u(numbers ...int) (out []byte) {
	for _, n := range numbers {
		out = binary.AppendUvarint(out, uint64(n))
	}
	return out
}

// cat joins what others write.
func cat(parts ...[]byte) []byte { return slices.Concat(parts...) }

// times repeats.
func times(n int, part []byte) []byte { return slices.Repeat(part, n) }

// ref refers to an object, refAt to a place in it.
func ref(object int) []byte        { return u(tagFirst + object<<1) }
func refAt(object, off int) []byte { return u(tagFirst+object<<1+1, off) }

// sliceOf is a slice in an object.
func sliceOf(object, n, more int) []byte { return cat(ref(object), u(n, more)) }

// head announces an object of a kind and a type, and further numbers of it.
func head(kind regionKind, typ int, numbers ...int) []byte {
	return cat(u(typ<<3|int(kind)), u(numbers...))
}

// one is an object of a type with something in it, which has pointers.
func one(typ int, body ...[]byte) piece { return piece{head(kindOne, typ), cat(body...)} }

// flat is an object of a type without pointers.
func flat(typ int, bytes ...byte) piece { return piece{head: cat(head(kindOne, typ), bytes)} }

// face is an interface that holds something of a type.
func face(typ, form int, body ...[]byte) []byte {
	return cat(u(faceFirst+typ<<2+form), cat(body...))
}

// text is a string.
func textOfWire(s string) []byte { return cat(u(len(s)<<1), []byte(s)) }

// into returns a variable for a result, and what its messages may name.
func into[T any]() any { return new(T) }

func types(of ...any) (all []reflect.Type) {
	for _, p := range of {
		all = append(all, reflect.TypeOf(p).Elem())
	}
	return all
}

// What attacks aim at.
type (
	looped *looped
	nested struct{ a, b any }
	aimed  struct {
		to  *byte
		all [][1 << 24]byte
	}
	toFour struct {
		all *[4]byte
		one *byte
	}
	atNested struct {
		any any
		to  *nested
	}
	// quoting says what is in it in quotes, like an error of package crypto/x509.
	quoting struct{ inner error }
	// picky encodes itself, and believes what it is told.
	picky struct {
		mu sync.Mutex
		n  byte
	}
	// chained follows what its other methods do not show.
	chained struct{ next *chained }
)

func (q quoting) Error() string {
	if q.inner == nil {
		return `""`
	}
	return strconv.Quote(q.inner.Error())
}

func (c *chained) Error() string {
	if c.next == nil {
		return "end"
	}
	return c.next.Error() + "."
}

func (p *picky) MarshalBinary() ([]byte, error) { return []byte{p.n}, nil }

func (p *picky) UnmarshalBinary(b []byte) error { p.n = b[2]; return nil }

// errorsInUse has types converted to errors, which makes them known as such.
var errorsInUse = []error{quoting{}, &chained{}, new(fs.PathError), new(runtime.TypeAssertionError)}

const far = 1 << 62

// attacks are messages by what they try.
var attacks = []struct {
	name  string
	into  any // a pointer to a result
	as    forged
	error string // part of the refusal; "" if what comes is safe
}{
	{"a pointer to another type", into[*int](), forged{types: types(into[float64]()), objects: []piece{one(0, ref(1)), flat(1, make([]byte, 8)...)}}, "there are no 1 variables of type int"},
	{"a pointer into the middle of a number", into[*int32](), forged{types: types(into[int64]()), objects: []piece{one(0, refAt(1, 4)), flat(1, make([]byte, 8)...)}}, "there are no 1 variables of type int32"},
	{"a pointer behind the end", into[toFour](), forged{types: types(into[[4]byte]()), objects: []piece{one(0, u(tagNil), refAt(1, 4)), flat(1, make([]byte, 4)...)}}, "at offset 4"},
	{"a pointer very far away", into[toFour](), forged{types: types(into[[4]byte]()), objects: []piece{one(0, u(tagNil), refAt(1, far)), flat(1, make([]byte, 4)...)}}, "at offset"},
	{"a pointer before the beginning", into[toFour](), forged{types: types(into[[4]byte]()), objects: []piece{one(0, u(tagNil), refAt(1, -1)), flat(1, make([]byte, 4)...)}}, "at offset"},
	{"a pointer to nothing", into[*int](), forged{objects: []piece{one(0, ref(9))}}, "there is no object 9"},
	{"a pointer to a map", into[*map[string]int](), forged{types: types(into[map[string]int]()), objects: []piece{one(0, ref(1)), {head: head(kindMap, 1, 0)}}}, "there are no 1 variables of type map[string]int"},
	{"a pointer to itself", into[looped](), forged{objects: []piece{one(0, ref(0))}}, ""},
	{"an empty pointer to what has a size", into[*int](), forged{objects: []piece{one(0, u(tagEmpty))}}, "there is no object"},

	{"a slice of another type", into[[]string](), forged{types: types(into[[]byte](), into[byte]()), objects: []piece{one(0, sliceOf(1, 2, 0)), {head: cat(head(kindMany, 2, 64), make([]byte, 64))}}}, "there are no 2 variables of type string"},
	{"a slice longer than its array", into[[]byte](), forged{types: types(into[byte]()), objects: []piece{one(0, sliceOf(1, 9, 0)), {head: cat(head(kindMany, 1, 8), make([]byte, 8))}}}, "there are no 9 variables"},
	{"a slice with too much room", into[[]byte](), forged{types: types(into[byte]()), objects: []piece{one(0, sliceOf(1, 8, 1)), {head: cat(head(kindMany, 1, 8), make([]byte, 8))}}}, "there are no 9 variables"},
	{"a slice whose size is no number any more", into[aimed](), forged{types: types(into[byte]()), objects: []piece{one(0, ref(1), sliceOf(1, 1<<40, 0)), flat(1, 7)}}, "there are no 1099511627776 variables"},
	{"a slice with as much room", into[aimed](), forged{types: types(into[byte]()), objects: []piece{one(0, ref(1), sliceOf(1, 1, 1<<40-1)), flat(1, 7)}}, "there are no 1099511627776 variables"},
	{"a slice without memory", into[[]int](), forged{objects: []piece{one(0, u(tagEmpty, 5))}}, "a slice of 5 int without memory"},
	{"a slice that has itself in it", into[[]any](), forged{types: types(into[any]()), objects: []piece{one(0, sliceOf(1, 1, 0)), {head(kindMany, 1, 1), face(0, formBox, ref(0))}}}, ""},

	{"a very long string", into[string](), forged{objects: []piece{one(0, u(far))}}, "bytes are left where"},
	{"a text that was not sent", into[string](), forged{objects: []piece{one(0, u(7<<1|1))}}, "there is no text 7"},
	{"very many elements", into[[]string](), forged{types: types(into[string]()), objects: []piece{one(0, sliceOf(1, 1, 0)), {head: head(kindMany, 1, 1<<40)}}}, "there cannot be 1099511627776 parts"},
	{"very many entries", into[map[string]int](), forged{objects: []piece{one(0, ref(1)), {head: head(kindMap, 0, 1<<40)}}}, "there cannot be 1099511627776 parts"},
	{"the same bytes counted often", into[[]string](), forged{types: types(into[string]()), objects: slices.Repeat([]piece{{head: head(kindMany, 1, 40)}}, 40)}, "objects do not fit"},

	{"a map of another type", into[map[string]int](), forged{types: types(into[map[string]string]()), objects: []piece{one(0, ref(1)), {head: head(kindMap, 1, 0)}}}, "is no map[string]int"},
	{"a place in a map", into[map[string]int](), forged{objects: []piece{one(0, refAt(1, 8)), {head: head(kindMap, 0, 0)}}}, "is no map[string]int"},
	{"a map that is none", into[map[string]int](), forged{objects: []piece{one(0, ref(0))}}, "is no map[string]int"},
	{"a map of what is no map type", into[[]int](), forged{objects: []piece{{head: head(kindMap, 0, 0)}}}, "is no map"},
	{"a key that cannot be compared", into[map[any]int](), forged{types: types(into[[]int]()), objects: []piece{one(0, ref(1)), {head(kindMap, 0, 1), cat(face(1, formBox, ref(2)), make([]byte, 8))}, one(1, u(tagNil))}}, "cannot be compared"},
	{"a key that has itself in it", into[map[any]*nested](), forged{types: types(into[nested]()), objects: []piece{one(0, ref(1)), {head(kindMap, 0, 1), cat(face(1, formBox, ref(2)), u(tagNil))}, one(1, face(1, formBox, ref(2)), u(faceNil))}}, "leads back to it"},
	{"a value that has itself in it", into[atNested](), forged{types: types(into[nested]()), objects: []piece{one(0, face(1, formBox, ref(1)), u(tagNil)), one(1, u(faceNil), face(1, formBox, ref(1)))}}, "leads back to it"},
	{"a key that takes for ever to hash", into[map[any]*nested](), forged{types: types(into[nested]()), objects: append([]piece{one(0, ref(1)), {head(kindMap, 0, 1), cat(face(1, formBox, ref(2)), u(tagNil))}}, doubling(1, 2, 60)...)}, "again and again"},

	{"an interface of a type that is not in it", into[fmt.Stringer](), forged{types: types(into[int]()), objects: []piece{one(0, face(1, formHere, make([]byte, 8)))}}, "does not go into a fmt.Stringer"},
	{"an interface of no type", into[any](), forged{objects: []piece{one(0, face(5, formHere))}}, "there is no type 5"},
	{"a number as a data word", into[any](), forged{types: types(into[int]()), objects: []piece{one(0, face(1, formWord, make([]byte, 8)))}}, "in the form 0"},
	{"a pointer as a box", into[struct {
		a any
		b *int
	}](), forged{types: types(into[*int]()), objects: []piece{one(0, face(1, formBox, ref(1)), ref(1)), one(1, u(tagNil))}}, "in the form 2"},
	{"an interface in an interface", into[[]any](), forged{types: types(into[any]()), objects: []piece{one(0, sliceOf(1, 1, 0)), {head(kindMany, 1, 1), face(1, formHere, u(0))}}}, "does not go into"},

	{"a func value", into[func()](), forged{objects: []piece{one(0, u(tagStatic, 64))}}, "a func value in a result"},
	{"a func value as an object", into[func()](), forged{objects: []piece{one(0, ref(1)), {head: head(kindClosure, 0)}}}, "there is no layout 0"},

	{"an encoding that makes its type panic", into[picky](), forged{objects: []piece{one(0, u(1, 7))}}, "it panics"},
	{"a very long encoding", into[picky](), forged{objects: []piece{one(0, u(far, 7))}}, "bytes are left where"},
	{"a lock where there is one inside", into[*picky](), forged{types: types(into[*sync.Mutex]()), objects: []piece{one(0, ref(1))}}, "none that may be in this result"},

	{"a package-level variable", into[*int](), forged{types: types(into[int]()), objects: []piece{one(0, ref(1)), {head: head(kindStatic, 1, 4096)}}}, "a pointer to a package-level variable"},
	{"a copy of a package-level variable", into[*int](), forged{types: types(into[int]()), objects: []piece{one(0, ref(1)), {head: cat(head(kindTwin, 1, 4096), make([]byte, 8))}}}, ""},
	{"a copy of one very far away", into[*int](), forged{types: types(into[int]()), objects: []piece{one(0, ref(1)), {head: cat(head(kindTwin, 1, far), make([]byte, 8))}}}, ""},
	{"what nobody has declared", into[*int](), forged{objects: []piece{one(0, ref(1)), {head: cat(head(kindOwn, 0, 4), []byte("name"))}}}, `"name" is not declared`},

	{"something lent", into[io.Reader](), forged{objects: []piece{one(0, u(lentFirst+1, 7))}}, "lent where nothing can be"},
	{"a copy instead of something lent", into[io.Reader](), forged{types: types(into[int]()), objects: []piece{one(0, u(lentCopy, 1))}}, "is nothing without size"},

	{"a bool that is neither", into[bool](), forged{objects: []piece{flat(0, 2)}}, "neither 0 nor 1"},
	{"a type that is none", into[reflect.Type](), forged{types: types(into[**int]()), objects: []piece{one(0, u(0))}}, "none that may be in this result"},
	{"an object of an unknown kind", into[int](), forged{objects: []piece{{head: u(7)}}}, "no object of kind 7"},
	{"an object of an unknown type", into[int](), forged{objects: []piece{{head: u(9 << 3)}}}, "there is no type 9"},
	{"no object", into[int](), forged{}, "there is no object 0"},
	{"a result of another type", into[int](), forged{types: types(into[float64]()), objects: []piece{flat(1, make([]byte, 8)...)}}, "there are no 1 variables of type int"},
	{"more than a result", into[int](), forged{objects: []piece{flat(0, make([]byte, 8)...)}, after: []byte{1}}, "1 bytes are left over"},
}

// doubling returns objects from number first on of which each has the next in it twice.
func doubling(typ, first, n int) (all []piece) {
	for i := range n {
		next := face(typ, formBox, ref(first+i+1))
		all = append(all, one(typ, next, next))
	}
	return append(all, one(typ, u(faceNil), u(faceNil)))
}

func TestAttacks_meetTheirRefusal(t *testing.T) {
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			data := a.as.bytes(t)
			into := reflect.New(reflect.TypeOf(a.into).Elem()).Interface()
			err := Decode(data, into, Untrusted)
			if (err == nil) != (a.error == "") || err != nil && !strings.Contains(err.Error(), a.error) {
				t.Errorf("got %v", err)
			}
		})
	}
}

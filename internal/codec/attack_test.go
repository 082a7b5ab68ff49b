package codec

import (
	"encoding/binary"
	"reflect"
	"slices"
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

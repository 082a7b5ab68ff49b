package image

import (
	"context"
	"fmt"
	"reflect"
	"runtime"
	"unsafe"
)

const ptrSize = unsafe.Sizeof(uintptr(0))

// probe is a closure whose layout is known here: what the machine code says must be this.
type probe struct {
	fn   unsafe.Pointer
	want []reflect.Type
}

// proven binds six closures of this package and compares. A Go release that makes closures in another way, or an
// untried platform, is found out here, and then no closure crosses.
func (im *Image) proven() error {
	im.binder.selfTest.Do(func() {
		for i, p := range probes(7, "seven", [24]uint64{1}) {
			c, err := im.describe(*(*uintptr)(p.fn), false)
			if err == nil && c.shapes {
				c, err = im.resolve(c, c.dictionary(p.fn))
			}
			if err == nil {
				err = compare(c, p.want)
			}
			if err != nil {
				im.binder.broken = fmt.Errorf("closures made by %s for %s/%s are not understood, so none can cross (self-test %d: %w): "+
					"use a Go release that this version of flame supports", runtime.Version(), runtime.GOOS, runtime.GOARCH, i+1, err)
				return
			}
		}
	})
	return im.binder.broken
}

func compare(c *Closure, want []reflect.Type) error {
	var got []reflect.Type
	for _, f := range c.Fields {
		if !f.Dict {
			got = append(got, f.Type)
		}
	}
	if len(got) != len(want) {
		return fmt.Errorf("captured %v instead of %v", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			return fmt.Errorf("captured %v instead of %v", got, want)
		}
	}
	return nil
}

// word of a func value: what it points to. Sound because a func value is one pointer, to its funcval.
func funcval[F any](f F) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&f)) }

// probes makes one closure of each kind. It is not inlined, so that they are made here and on the heap.
//
//go:noinline
func probes(n int, s string, big [24]uint64) []probe {
	byValue := func() string { return fmt.Sprint(n, s) }
	count := 0
	byReference := func() int { count++; return count }
	large := func() uint64 { return big[0] }
	nested := func() string { return byValue() + fmt.Sprint(byReference()) }
	method := (&named{s}).String
	generic, T := genericProbe(&named{s}, n)
	return []probe{
		{funcval(byValue), []reflect.Type{reflect.TypeFor[int](), reflect.TypeFor[string]()}},
		{funcval(byReference), []reflect.Type{reflect.TypeFor[*int]()}},
		{funcval(large), []reflect.Type{reflect.TypeFor[*[24]uint64]()}},
		{funcval(nested), []reflect.Type{reflect.TypeFor[func() string](), reflect.TypeFor[func() int]()}},
		{funcval(method), []reflect.Type{reflect.TypeFor[*named]()}},
		{generic, T},
	}
}

type named struct{ name string }

// String is a method whose value is taken.
func (n *named) String() string { return n.name }

// genericProbe makes a closure in generic code.
//
//go:noinline
func genericProbe[T fmt.Stringer](v T, n int) (unsafe.Pointer, []reflect.Type) {
	f := func(context.Context) string { return fmt.Sprint(v.String(), n) }
	return funcval(f), []reflect.Type{reflect.TypeFor[T](), reflect.TypeFor[int]()}
}

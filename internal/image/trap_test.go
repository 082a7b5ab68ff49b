package image

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"unsafe"
)

// handmade looks like a closure but the program makes it itself.
type handmade struct {
	F  uintptr
	X0 int
}

//go:noinline
func makeHandmade(pc uintptr, n int) *handmade { return &handmade{F: pc, X0: n} }

//go:noinline
func callNow(f func() uintptr) uintptr { return f() }

// entryHere returns the entry PC of the function that calls it.
func entryHere() uintptr {
	pc, _, _, _ := runtime.Caller(1)
	return runtime.FuncForPC(pc).Entry()
}

// stackAfterHeap makes a closure on the heap, an object by hand, and then a closure of the same captures that never
// leaves the stack. It returns the entry PC of the last.
//
//go:noinline
func stackAfterHeap(n int) (onHeap func() int, byHand *handmade, onStack uintptr) {
	onHeap = func() int { return n + 1 }
	byHand = makeHandmade(uintptr(n), n)
	onStack = callNow(func() uintptr { _ = fmt.Sprint(n); return entryHere() })
	return onHeap, byHand, onStack
}

func TestTrapsAreRefused(t *testing.T) {
	im := mustSelf(t)
	onHeap, byHand, onStack := stackAfterHeap(len(os.Args))
	if got, err := captured(im, funcval(onHeap)); err != nil || !reflect.DeepEqual(got, types(new(int))) {
		t.Fatalf("the closure on the heap: %v, %v", got, err)
	}
	literal := func() int { return 1 }
	entry := *(*uintptr)(funcval(literal))
	for name, trap := range map[string]*handmade{
		"made by hand":              byHand,
		"a closure on the stack":    {F: onStack},
		"a function that has none":  {F: entry},
		"the middle of a function":  {F: entry + 1},
		"code of no function":       {F: 12345},
		"code of nothing":           {F: 0},
		"data in the place of code": {F: uintptr(unsafe.Pointer(&keptInt))},
	} {
		c, err := im.Closure(unsafe.Pointer(trap))
		var refused *RefusalError
		if !errors.As(err, &refused) {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
	if c, err := im.Closure(funcval(literal)); err != nil || !c.Static {
		t.Errorf("the literal after its trap: %+v, %v", c, err)
	}
}

var keptInt int

// Whatever lies in read-only data: what TypeAt takes for a type must be one.
func TestNothingElseIsTakenForAType(t *testing.T) {
	im := mustSelf(t)
	accepted, unknown := 0, 0
	for _, s := range im.ranges {
		if s.region != ReadOnly {
			continue
		}
		for a := s.start; a < s.end; a += ptrSize {
			typ, err := im.TypeAt(uint64(a - im.base))
			if err != nil {
				continue
			}
			if strings.TrimSpace(typ.String()) == "" || fmt.Sprint(typ.Kind()) == "invalid" {
				t.Errorf("%#x is taken for %q", a, typ)
			}
			accepted++
			if _, ok := im.KnownType(uint64(a - im.base)); !ok {
				unknown++
			}
		}
	}
	t.Logf("%d types, %d of them not in the program's list", accepted, unknown)
	if accepted < 500 {
		t.Errorf("only %d types", accepted)
	}
}

// A descriptor that begins right and goes on wrong is refused without being touched.
func TestForgedDescriptorsAreRefused(t *testing.T) {
	im := mustSelf(t)
	good := *(*abiType)(descriptorOf(reflect.TypeFor[point]()))
	for name, forge := range map[string]func(*abiType){
		"no kind":           func(a *abiType) { a.kind = 0 },
		"kind out of range": func(a *abiType) { a.kind = 31 },
		"size":              func(a *abiType) { a.size = ^uintptr(0) },
		"pointers outside":  func(a *abiType) { a.ptrBytes = a.size + 8 },
		"alignment":         func(a *abiType) { a.align = 3 },
		"equal":             func(a *abiType) { a.equal = unsafe.Pointer(&keptInt) },
		"name":              func(a *abiType) { a.str = 1 << 30 },
		"negative name":     func(a *abiType) { a.str = -1 },
	} {
		bad := good
		forge(&bad)
		if im.soundHead(&bad) {
			t.Errorf("%s: taken for a type", name)
		}
	}
	if !im.soundHead(&good) {
		t.Error("a real head is refused")
	}
	if im.maybeDescriptor(uintptr(unsafe.Pointer(&good))) {
		t.Error("a descriptor on the heap is taken for one of the image")
	}
}

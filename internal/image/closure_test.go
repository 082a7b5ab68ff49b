package image

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"
)

func mustSelf(t testing.TB) *Image {
	t.Helper()
	im, err := Self()
	if err != nil {
		t.Skip("closures cannot be read here: ", err)
	}
	return im
}

// captured returns the types of what a func value captured, or an error.
func captured(im *Image, fv unsafe.Pointer) ([]reflect.Type, error) {
	c, err := im.Closure(fv)
	if err != nil {
		return nil, err
	}
	var types []reflect.Type
	for _, f := range c.Fields {
		if !f.Dict {
			types = append(types, f.Type)
		}
	}
	return types, nil
}

func types(v ...any) []reflect.Type {
	var t []reflect.Type
	for _, p := range v {
		t = append(t, reflect.TypeOf(p).Elem())
	}
	return t
}

type point struct{ X, Y int }

func (p point) Sum() int       { return p.X + p.Y }
func (p *point) Move(dx int)   { p.X += dx }
func (p point) String() string { return fmt.Sprint(p.X, p.Y) }

type box[T any] struct{ v T }

func (b *box[T]) get() func() T { return func() T { return b.v } }

//go:noinline
func makeAdder(n int) func(int) int { return func(m int) int { n += m; return n } }

func makeInlined(n int, s string) func() string { return func() string { return s[:n] } }

//go:noinline
func one[T any](v T) func() T { return func() T { return v } }

//go:noinline
func two[K comparable, V any](k K, v V) func() string {
	return func() string { return fmt.Sprint(k, v) }
}

//go:noinline
func slices_[T any](v []T) func() int { return func() int { return len(v) } }

//go:noinline
func maps_[K comparable, V any](m map[K]V) func() int { return func() int { return len(m) } }

//go:noinline
func outer[T any](v T) func() func() T { return func() func() T { return func() T { return v } } }

// escape has a closure made on the heap, as whatever crosses is.
//
//go:noinline
func escape(f func() int) unsafe.Pointer { kept = f; return funcval(f) }

var kept func() int

type shape struct {
	name string
	fv   unsafe.Pointer
	want []reflect.Type
}

// shapes makes closures of many kinds.
func shapes() []shape {
	n, s, p, q := 42, "text", &point{1, 2}, point{3, 4}
	big, f64, when := [40]int{1}, 1.5, time.Now()
	var stringer fmt.Stringer = q
	var reader io.Reader = bytes.NewReader(nil)
	var err error = io.EOF
	m, sl, ch := map[string]int{}, []string{}, make(chan int)
	count, text := 0, ""
	fn := makeAdder(3)
	var self func(int) int
	self = func(k int) int {
		if k == 0 {
			return 1
		}
		return k * self(k-1)
	}
	all := []shape{
		{"int", funcval(func() int { return n }), types(new(int))},
		{"string", funcval(func() string { return s }), types(new(string))},
		{"pointer", funcval(func() int { return p.X }), types(new(*point))},
		{"struct", funcval(func() int { return q.X }), types(new(point))},
		{"large by reference", funcval(func() int { return big[0] }), types(new(*[40]int))},
		{"float", funcval(func() float64 { return f64 }), types(new(float64))},
		{"time", funcval(func() string { return when.String() }), types(new(time.Time))},
		{"interface", funcval(func() string { return stringer.String() }), types(new(fmt.Stringer))},
		{"reader", funcval(func() (int, error) { return reader.Read(nil) }), types(new(io.Reader))},
		{"error", funcval(func() bool { return err == nil }), types(new(error))},
		{"map and slice", funcval(func() int { return m["x"] + len(sl) }), types(new(map[string]int), new([]string))},
		{"channel", funcval(func() int { return <-ch }), types(new(chan int))},
		{"two counters", funcval(func() { count++; text += "x" }), types(new(*int), new(*string))},
		{"func", funcval(func() int { return fn(1) }), types(new(func(int) int))},
		{"recursive", funcval(self), types(new(*func(int) int))},
		{"returned", funcval(fn), types(new(*int))},
		{"inlined maker", funcval(makeInlined(2, "abc")), types(new(string), new(int))},
		{"method value on pointer", funcval(p.Move), types(new(*point))},
		{"method value on value", funcval(q.Sum), types(new(point))},
		{"method value on interface", funcval(stringer.String), types(new(fmt.Stringer))},
		{"method value of bytes.Buffer", funcval(new(bytes.Buffer).Len), types(new(*bytes.Buffer))},
		{"five", funcval(func() string { return fmt.Sprint(n, s, p, f64, when) }), types(new(int), new(string), new(*point), new(float64), new(time.Time))},
		{"generic string", funcval(one("x")), types(new(string))},
		{"generic pointer", funcval(one(p)), types(new(*point))},
		{"generic other pointer", funcval(one(new(bytes.Buffer))), types(new(*bytes.Buffer))},
		{"generic struct", funcval(one(q)), types(new(point))},
		{"generic time", funcval(one(when)), types(new(time.Time))},
		{"generic interface", funcval(one(stringer)), types(new(fmt.Stringer))},
		{"generic slice", funcval(one(sl)), types(new([]string))},
		{"generic func", funcval(one(fn)), types(new(func(int) int))},
		{"generic pair", funcval(two("k", 3)), types(new(string), new(int))},
		{"generic slice of struct", funcval(slices_([]point{q})), types(new([]point))},
		{"generic map", funcval(maps_(map[string]point{"x": q})), types(new(map[string]point))},
		{"generic nested", funcval(outer(q)), types(new(point))},
		{"generic nested inner", funcval(outer(q)()), types(new(point))},
		{"generic method", funcval((&box[point]{q}).get()), types(new(*box[point]))},
		{"generic method of pointer", funcval((&box[*point]{p}).get()), types(new(*box[*point]))},
	}
	for i := range 2 {
		all = append(all, shape{"loop variable", funcval(func() int { return i + n }), types(new(int), new(int))})
	}
	for v := range func(yield func(string) bool) { yield("seq") } {
		all = append(all, shape{"range over func", funcval(func() string { return v + s }), types(new(string), new(string))})
	}
	func() {
		defer func() { recover() }()
		all = append(all, shape{"in defer", funcval(func() int { return n + len(s) }), types(new(int), new(string))})
	}()
	return all
}

func TestClosuresAreUnderstoodExactly(t *testing.T) {
	im := mustSelf(t)
	for _, s := range shapes() {
		got, err := captured(im, s.fv)
		if err != nil || !reflect.DeepEqual(got, s.want) {
			t.Errorf("%s: %v, %v; want %v", s.name, got, err, s.want)
		}
	}
}

func TestStaticFunctionsAreFoundByTheirOffset(t *testing.T) {
	im := mustSelf(t)
	for name, fv := range map[string]unsafe.Pointer{
		"top-level": funcval(strings.ToUpper), "method expression": funcval((*point).Move), "literal": funcval(func() int { return 1 }),
	} {
		c, err := im.Closure(fv)
		if err != nil || !c.Static {
			t.Errorf("%s: %+v, %v", name, c, err)
			continue
		}
		off, _ := im.Locate(uintptr(fv))
		again, err := im.StaticFunc(off)
		if err != nil || again != fv {
			t.Errorf("%s: found again as %v, %v", name, again, err)
		}
	}
	for _, off := range []uint64{0, 1, 1 << 40, ^uint64(0)} {
		if _, err := im.StaticFunc(off); err == nil {
			t.Errorf("a function at offset %#x", off)
		}
	}
}

func TestTypesAndAddressesRoundTrip(t *testing.T) {
	im := mustSelf(t)
	for _, typ := range types(new(int), new(string), new(*point), new(map[string][]point), new(error), new(box[int])) {
		off, ok := im.TypeOffset(typ)
		again, err := im.TypeAt(off)
		if !ok || err != nil || again != typ {
			t.Errorf("%v: %v at %#x, %v", typ, again, off, err)
		}
	}
	if _, ok := im.TypeOffset(reflect.StructOf([]reflect.StructField{{Name: "A", Type: reflect.TypeFor[chan point]()}})); ok {
		t.Error("a type made at run time has an offset")
	}
	text, _ := im.Locate(reflect.ValueOf(strings.ToUpper).Pointer())
	for _, off := range []uint64{0, 1, text, text + 8, 1 << 50} {
		if typ, err := im.TypeAt(off); err == nil {
			t.Errorf("a type at %#x: %v", off, typ)
		}
	}
}

func TestTypesOfTheProgramAreKnown(t *testing.T) {
	im := mustSelf(t)
	for _, typ := range types(new(int), new(string), new(*point), new(point), new([]point), new(map[string]any), new(box[int])) {
		off, _ := im.TypeOffset(typ)
		if got, ok := im.KnownType(off); !ok || got != typ {
			t.Errorf("%v is not known: %v", typ, got)
		}
		if got, ok := im.KnownType(off + 8); ok {
			t.Errorf("the middle of %v is known as %v", typ, got)
		}
	}
}

func TestN03_PackageLevelErrorsHaveAnOffset(t *testing.T) {
	im := mustSelf(t)
	for name, err := range map[string]error{"io.EOF": io.EOF, "os.ErrNotExist": os.ErrNotExist, "own": errOwn} {
		w := *(*[2]uintptr)(unsafe.Pointer(&err))
		off, ok := im.Variable(w[0], w[1])
		itab, data, valid := im.VariableAt(off)
		if !ok || !valid || itab != w[0] || data != w[1] {
			t.Errorf("%s: offset %#x %v, words %#x %#x %v", name, off, ok, itab, data, valid)
		}
	}
	fresh := errors.New("fresh")
	w := *(*[2]uintptr)(unsafe.Pointer(&fresh))
	if off, ok := im.Variable(w[0], w[1]); ok {
		t.Errorf("an error made just now is a package-level variable at %#x", off)
	}
}

var errOwn = errors.New("own")

func TestBuildIdentityIsThere(t *testing.T) {
	im := mustSelf(t)
	if len(im.Build()) < 20 {
		t.Errorf("build %q", im.Build())
	}
}

// TestEveryClosureOfThisProgramAgrees tracks every function that loads the address of code.
func TestEveryClosureOfThisProgramAgrees(t *testing.T) {
	im := mustSelf(t)
	start := time.Now()
	im.binder.indexed.Do(im.index)
	descs, conflicts := make(map[uintptr]uintptr), 0
	done := make(map[uintptr]bool)
	for _, sites := range im.binder.loads {
		for _, at := range sites {
			f := runtime.FuncForPC(at)
			if f == nil || done[f.Entry()] {
				continue
			}
			done[f.Entry()] = true
			for _, b := range track(im, f.Entry()).bound {
				if d, ok := descs[b.code]; ok && d != b.desc {
					conflicts++
				}
				descs[b.code] = b.desc
			}
		}
	}
	t.Logf("%d closures made in %d functions, %d conflicts, %v", len(descs), len(done), conflicts, time.Since(start))
	if conflicts > 0 || len(descs) < 100 {
		t.Errorf("%d closures, %d conflicts", len(descs), conflicts)
	}
}

func BenchmarkClosureAgain(b *testing.B) {
	im := mustSelf(b)
	n := 3
	fv := escape(func() int { return n })
	for b.Loop() {
		if _, err := im.Closure(fv); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkClosureFirst(b *testing.B) {
	n := 3
	fv := escape(func() int { return n })
	mustSelf(b)
	for b.Loop() {
		im, err := self()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := im.Closure(fv); err != nil {
			b.Fatal(err)
		}
	}
}

package codec

import (
	"flag"
	"fmt"
	"math"
	"reflect"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

//go:generate sh -c "go run ./testdata/generate | go run mvdan.cc/gofumpt@v0.12.0 >made_test.go.new && mv made_test.go.new made_test.go"

// grower makes random values of any type. They share memory, lead into each other and back.
type grower struct {
	*rapid.T
	trust  Trust
	left   int                              // variables that may still be made
	grown  map[reflect.Type][]reflect.Value // variables so far, parts of others among them
	texts  []string
	shared int // pointers, slices and maps that lead to what was there
}

func (g *grower) below(n int) int { return rapid.IntRange(0, n-1).Draw(g.T, "choice") }

// fill fills a variable.
func (g *grower) fill(v reflect.Value) {
	g.left--
	g.grown[v.Type()] = append(g.grown[v.Type()], v)
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			g.fill(v.Field(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			g.fill(v.Index(i))
		}
	case reflect.Pointer, reflect.Slice, reflect.Map:
		if g.left > 0 {
			g.refer(v)
		}
	case reflect.Interface:
		if g.left > 0 {
			g.hold(v)
		}
	case reflect.Func:
	case reflect.String:
		v.SetString(g.text())
	default:
		g.number(v)
	}
}

func (g *grower) text() string {
	if n := g.below(4); n == 0 && len(g.texts) > 0 {
		return g.texts[g.below(len(g.texts))]
	}
	s := fmt.Sprintf("%*d", g.below(100), g.below(1000))
	g.texts = append(g.texts, s)
	return s
}

func (g *grower) number(v reflect.Value) {
	n := rapid.Uint64().Draw(g.T, "number")
	switch {
	case v.CanInt():
		v.SetInt(int64(n))
	case v.CanUint():
		v.SetUint(n)
	case v.CanFloat():
		v.SetFloat(math.Float64frombits(n))
	case v.CanComplex():
		v.SetComplex(complex(float64(n), -1))
	default:
		v.SetBool(n%2 == 1)
	}
}

// refer sets a pointer, slice or map: to nil, to what is there already, or to something new.
func (g *grower) refer(v reflect.Value) {
	switch g.below(5) {
	case 0:
		return
	case 1, 2:
		if g.referBack(v) {
			g.shared++
			return
		}
	}
	switch t := v.Type(); t.Kind() {
	case reflect.Pointer:
		to := reflect.New(t.Elem())
		v.Set(to.Convert(t))
		g.fill(to.Elem())
	case reflect.Slice:
		n := g.below(4)
		v.Set(reflect.MakeSlice(t, n, n+g.below(3)))
		for i := range n {
			g.fill(v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(t))
		for range g.below(4) {
			key, elem := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
			if g.key(key); t.Key().Kind() == reflect.Pointer && v.Len() > 0 {
				break // which of several pointers is which, is not to be seen from outside
			}
			g.fill(elem)
			v.SetMapIndex(key, elem)
		}
	}
}

// referBack leads to what is there already.
func (g *grower) referBack(v reflect.Value) bool {
	t := v.Type()
	from := g.grown[t]
	if t.Kind() == reflect.Pointer {
		from = g.grown[t.Elem()]
	}
	if len(from) == 0 {
		return false
	}
	known := from[g.below(len(from))]
	switch {
	case t.Kind() == reflect.Pointer:
		v.Set(known.Addr().Convert(t))
	case t.Kind() == reflect.Slice && known.Len() > 0:
		low := g.below(known.Len())
		high := low + g.below(known.Cap()-low+1)
		v.Set(known.Slice3(low, high, high+g.below(known.Cap()-high+1)))
	default:
		v.Set(known)
	}
	return true
}

func (g *grower) key(v reflect.Value) {
	switch v.Kind() {
	case reflect.Interface:
		v.Set(reflect.ValueOf([]any{7, "seven", int8(7), true}[g.below(4)]))
	case reflect.Complex64:
		v.SetComplex(complex(float64(g.below(9)), 1))
	default:
		g.fill(v)
	}
}

// hold puts something into an interface.
func (g *grower) hold(v reflect.Value) {
	held := reflect.ValueOf([]any{1, "text", 2.5, uint8(3), true, struct{}{}, []int{1, 2}, []string(nil), map[string]int{"a": 1}, nil}[g.below(10)])
	switch {
	case v.NumMethod() > 0:
		held = reflect.ValueOf(madeSayers[g.below(len(madeSayers))])
	case g.trust == Trusted && g.below(2) == 0:
		held = reflect.Zero(madeTypes[g.below(len(madeTypes))])
	case !held.IsValid():
		return
	}
	into := reflect.New(held.Type()).Elem()
	if held.Kind() == reflect.Pointer && g.below(3) > 0 {
		into.Set(reflect.New(held.Type().Elem()))
		g.fill(into.Elem())
	} else if held.Kind() == reflect.Struct || g.below(2) == 0 {
		g.fill(into)
	} else {
		into.Set(held)
	}
	v.Set(into)
}

// likeness compares two graphs: what is one variable in one must be one in the other, and two must be two.
type likeness struct {
	there, back map[unsafe.Pointer]unsafe.Pointer
	seen        map[couple]bool
	todo        []couple
	wrong       string
}

type couple struct {
	at   unsafe.Pointer
	typ  reflect.Type
	a, b reflect.Value
	path string
}

func (w *likeness) fail(p, format string, args ...any) {
	if w.wrong == "" {
		w.wrong = p + ": " + fmt.Sprintf(format, args...)
	}
}

// same says that an address here is what an address there is.
func (w *likeness) same(path string, a, b unsafe.Pointer) {
	there, known := w.there[a]
	back, too := w.back[b]
	if known != too || known && (there != b || back != a) {
		w.fail(path, "memory is shared differently")
	}
	w.there[a], w.back[b] = b, a
}

// variables compares two variables, and later what they lead to.
func (w *likeness) variables(path string, a, b reflect.Value) {
	if a.Type().Size() == 0 {
		return
	}
	w.same(path, a.Addr().UnsafePointer(), b.Addr().UnsafePointer())
	if key := (couple{at: a.Addr().UnsafePointer(), typ: a.Type()}); !w.seen[key] {
		w.seen[key] = true
		w.values(path, a, b)
	}
}

// values compares two values.
func (w *likeness) values(path string, a, b reflect.Value) {
	into := w.values
	if a.CanAddr() && b.CanAddr() {
		into = w.variables
	}
	switch a.Kind() {
	case reflect.Struct:
		for i := range a.NumField() {
			into(path+"."+a.Type().Field(i).Name, a.Field(i), b.Field(i))
		}
	case reflect.Array:
		for i := range a.Len() {
			into(fmt.Sprintf("%s[%d]", path, i), a.Index(i), b.Index(i))
		}
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		if a.IsNil() != b.IsNil() {
			w.fail(path, "nil is %t and %t", a.IsNil(), b.IsNil())
		} else if !a.IsNil() {
			w.todo = append(w.todo, couple{a: a, b: b, path: path})
		}
	case reflect.Func:
		if !b.IsNil() {
			w.fail(path, "a func value from nowhere")
		}
	case reflect.Float32, reflect.Float64:
		if math.Float64bits(a.Float()) != math.Float64bits(b.Float()) {
			w.fail(path, "%v is %v", a, b)
		}
	default:
		if !a.Equal(b) {
			w.fail(path, "%v is %v", a, b)
		}
	}
}

// follow compares what two values lead to that are not nil.
func (w *likeness) follow(path string, a, b reflect.Value) {
	switch a.Kind() {
	case reflect.Pointer:
		w.variables("(*"+path+")", a.Elem(), b.Elem())
	case reflect.Interface:
		if a.Elem().Type() != b.Elem().Type() {
			w.fail(path, "a %v is a %v", a.Elem().Type(), b.Elem().Type())
			return
		}
		w.values(path, a.Elem(), b.Elem())
	case reflect.Slice:
		if a.Len() != b.Len() || b.Cap() > a.Cap() {
			w.fail(path, "%d of %d elements are %d of %d", a.Len(), a.Cap(), b.Len(), b.Cap())
			return
		}
		for i := range a.Len() {
			w.variables(fmt.Sprintf("%s[%d]", path, i), a.Index(i), b.Index(i))
		}
	case reflect.Map:
		w.same(path, a.UnsafePointer(), b.UnsafePointer())
		if a.Len() != b.Len() {
			w.fail(path, "%d entries are %d", a.Len(), b.Len())
			return
		}
		w.entries(path, a, b)
	}
}

func (w *likeness) entries(path string, a, b reflect.Value) {
	if key := (couple{at: a.UnsafePointer(), typ: a.Type()}); w.seen[key] {
		return
	} else {
		w.seen[key] = true
	}
	for it := a.MapRange(); it.Next(); {
		key := it.Key()
		if key.Kind() == reflect.Pointer { // there is one
			key = b.MapKeys()[0]
			w.values(path+"'s key", it.Key(), key)
		}
		elem := b.MapIndex(key)
		if !elem.IsValid() {
			w.fail(path, "an entry is missing")
			return
		}
		w.values(path+"[…]", it.Value(), elem)
	}
}

// difference returns the first difference between two variables and all that they lead to.
func difference(a, b reflect.Value) string {
	w := likeness{there: map[unsafe.Pointer]unsafe.Pointer{}, back: map[unsafe.Pointer]unsafe.Pointer{}, seen: map[couple]bool{}}
	w.variables("v", a, b)
	for len(w.todo) > 0 && w.wrong == "" {
		p := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		w.follow(p.path, p.a, p.b)
	}
	return w.wrong
}

func TestGraphs_crossAsTheyAre(t *testing.T) {
	flag.Set("rapid.checks", "10000")
	flag.Set("rapid.nofailfile", "true")
	shared, made := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		typ := rapid.SampledFrom(madeTypes).Draw(rt, "type")
		size := rapid.IntRange(1, 300).Draw(rt, "size")
		g := &grower{T: rt, trust: rapid.SampledFrom([]Trust{Trusted, Untrusted}).Draw(rt, "trust"), left: size, grown: map[reflect.Type][]reflect.Value{}}
		sent, got := reflect.New(typ), reflect.New(typ)
		g.fill(sent.Elem())
		shared, made = shared+g.shared, made+size-g.left
		msg, err := Encode(sent.Interface(), Options{})
		if err != nil {
			rt.Fatalf("%v: %v", typ, err)
		}
		if err := Decode(join(msg), got.Interface(), g.trust); err != nil {
			rt.Fatalf("%v: %v", typ, err)
		}
		if wrong := difference(sent.Elem(), got.Elem()); wrong != "" {
			rt.Fatalf("%v: %s", typ, wrong)
		}
	})
	t.Logf("%d variables, %d ways to what was there", made, shared)
	if shared < 1000 {
		t.Errorf("only %d ways lead to what was there", shared)
	}
}

package codec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"
)

// result is what a runner may return: something of everything.
type result struct {
	name  string
	ok    bool
	flags [9]bool
	next  *result
	inner *int
	count int
	list  []point
	bytes []byte
	table map[string]*result
	keys  map[any]int
	any   any
	err   error
	when  time.Time
	f     func()
	names [5]string
	pairs map[float64]string
}

func newResult() *result {
	n := 3
	r := &result{
		name: "a name that is so long that it is sent only once, in each message", ok: true, inner: &n, list: []point{{1, 2, "x", true}, {}},
		bytes: []byte("bytes"), any: []any{1, "x", 2.5, true, map[string]any{"k": int8(3)}}, err: fmt.Errorf("w: %w", errors.Join(io.EOF, &codeError{code: 1})),
		when: time.Now().In(time.FixedZone("X", 60)), keys: map[any]int{1: 1, "a": 2}, pairs: map[float64]string{1: "x"},
	}
	r.next = &result{name: r.name, next: r, inner: &r.count, bytes: r.bytes[2:]}
	r.table = map[string]*result{"r": r, "next": r.next}
	return r
}

// look uses everything in a result, so that what is not safe to use is found out.
func (r *result) look() (n int) {
	seen := map[*result]bool{}
	todo := []*result{r}
	for len(todo) > 0 {
		r := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if r == nil || seen[r] {
			continue
		}
		seen[r] = true
		n += len(fmt.Sprint(r.name, r.ok, r.flags, r.count, r.list, r.bytes, r.keys, r.names, r.pairs, r.when))
		if r.inner != nil {
			n += *r.inner
			*r.inner = 1
		}
		if r.err != nil {
			var code *codeError
			_ = errors.Is(r.err, io.EOF) || errors.As(r.err, &code)
		}
		r.list = append(r.list, point{})
		todo = append(todo, r.next)
		for _, v := range r.table {
			todo = append(todo, v)
		}
	}
	return n
}

func TestHostileBytes_neverHurt(t *testing.T) {
	// given a good message
	v := newResult()
	msg, err := Encode(&v, Options{Snapshot: true})
	if err != nil {
		t.Fatal(err)
	}
	good := join(msg)
	// when it is cut off anywhere, then it is refused
	for i := range good {
		var back *result
		if Decode(good[:i], &back, Untrusted) == nil {
			t.Fatalf("%d bytes of %d were enough", i, len(good))
		}
	}
	// when bytes of it are changed, then it is refused or safe to use
	random := rand.New(rand.NewPCG(1, 2))
	taken := 0
	for range 30000 {
		data := append([]byte(nil), good...)
		for range 1 + random.IntN(3) {
			data[random.IntN(len(data))] = byte(random.Uint32() >> random.IntN(8))
		}
		var back *result
		if Decode(data, &back, Untrusted) == nil {
			taken++
			back.look()
		}
	}
	runtime.GC()
	if taken == 0 {
		t.Error("nothing was looked at")
	}
}

func TestHostileCounts_allocateLittle(t *testing.T) {
	var before, after runtime.MemStats
	v := make([]string, 4)
	msg, err := Encode(&v, Options{})
	if err != nil {
		t.Fatal(err)
	}
	good := join(msg)
	runtime.ReadMemStats(&before)
	for i := range good {
		// when a number anywhere is very large
		data := append(append([]byte(nil), good[:i]...), 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f)
		data = append(data, good[min(i+1, len(good)):]...)
		var back []string
		if err := Decode(data, &back, Untrusted); err == nil {
			t.Errorf("a large number at %d was taken", i)
		}
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("%d bytes were allocated", n)
	}
}

func TestHostileTypes_areRefused(t *testing.T) {
	// given values that a runner may be able to send and a parent does not expect
	type surprise struct{ n int }
	n := 1
	for _, v := range []any{
		surprise{1}, &surprise{1}, []surprise{{1}}, // in an interface, a type that nothing of the result's type names
		func() {}, func() { n++ },
	} {
		msg, err := Encode(&v, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var back any
		if err := Decode(join(msg), &back, Untrusted); err == nil {
			t.Errorf("a %T was taken", v)
		}
		if err := Decode(join(msg), &back, Trusted); err != nil {
			t.Errorf("a parent's %T was refused: %v", v, err)
		}
	}
}

// shape is what several types are.
type shape interface{ area() int }

type (
	square struct{ side int }
	circle struct{ radius int }
)

func (s square) area() int  { return s.side * s.side }
func (c *circle) area() int { return 3 * c.radius * c.radius }

func TestWhatTheResultsTypeDoesNotNameIsRefusedWithAWayOut(t *testing.T) {
	type drawing struct {
		name   string
		shapes []any
	}
	send := func(v any) (Message, error) { return Encode(v, Options{Result: true}) }
	// given a result with a type in an interface that is nowhere in the result's own type
	v := drawing{"d", []any{1, square{2}}}
	_, err := send(&v)
	want := "codec.drawing → .shapes ([]interface {}) → [1] (interface {}): it holds a codec.square, and the parent takes from an interface in a result only what"
	if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "return it as a codec.square, or in an interface with methods that it implements") {
		t.Errorf("got %v", err)
	}
	// when it is sent all the same, then the parent says what may be there
	msg, err := Encode(&v, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := Decode(join(msg), &v, Untrusted); err == nil || !strings.Contains(err.Error(), "or in an interface with methods that it implements") {
		t.Errorf("got %v", err)
	}
	// then both ways out lead out
	ways := struct {
		own    square
		shapes []shape
		errs   []any
	}{square{3}, []shape{square{2}, &circle{1}}, []any{io.EOF, "text", []any{1.5, nil}}}
	if msg, err = send(&ways); err != nil {
		t.Fatal(err)
	}
	back := ways
	back.shapes, back.errs = nil, nil
	if err := Decode(join(msg), &back, Untrusted); err != nil || back.shapes[0].area() != 4 || back.shapes[1].area() != 3 || fmt.Sprint(back.errs) != "[EOF text [1.5 <nil>]]" {
		t.Errorf("got %v, %v", back, err)
	}
}

// disguise sends a value as one of another type.
func disguise[T any](t *testing.T, v any) error {
	t.Helper()
	msg, err := Encode(v, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var back T
	return Decode(join(msg), &back, Untrusted)
}

func TestHostileMemory_isNoValueOfItsType(t *testing.T) {
	type boolAndText struct {
		ok   bool
		text string
	}
	type byteAndText struct {
		ok   uint8
		text string
	}
	type instant struct {
		wall, ext uint64
		zone      *time.Location
	}
	for name, err := range map[string]error{
		"bool":        disguise[bool](t, ptr(uint8(2))),
		"bools":       disguise[[9]bool](t, &[9]uint8{8: 2}),
		"bool beside": disguise[boolAndText](t, &byteAndText{2, "x"}),
		"monotonic":   disguise[time.Time](t, &instant{wall: 1 << 63}),
		"nanoseconds": disguise[time.Time](t, &instant{wall: 1_000_000_000}),
	} {
		if err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	for name, err := range map[string]error{
		"bool":        disguise[bool](t, ptr(uint8(1))),
		"bools":       disguise[[9]bool](t, &[9]uint8{8: 1}),
		"bool beside": disguise[boolAndText](t, &byteAndText{1, "x"}),
		"time":        disguise[time.Time](t, &instant{wall: 1}),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHostileKeys_areNoPanic(t *testing.T) {
	p := planOf(reflect.TypeFor[map[any]int16]())
	m := map[any]int16{}
	keys, elems := []any{1, []int{1}}, []int16{1, 2}
	en := &entries{unsafe.Pointer(&keys[0]), unsafe.Pointer(&elems[0]), 2}
	if err := p.mapping.fill(p, *word(unsafe.Pointer(&m)), en); err == nil || m[1] != 1 {
		t.Errorf("got %v, %v", err, m)
	}
}

func TestHostileZone_isRefused(t *testing.T) {
	// given a zone that refers to a part that it does not have
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip("no zone files here: ", err)
	}
	at := time.Now().In(zone)
	msg, err := Encode(&at, Options{})
	if err != nil {
		t.Fatal(err)
	}
	copied := cross(t, zone, Trusted)
	changes := reflect.ValueOf(copied).Elem().FieldByName("tx").Index(3).FieldByName("index")
	*(*uint8)(changes.Addr().UnsafePointer()) = 200
	if disguise[*time.Location](t, &copied) == nil {
		t.Error("taken")
	}
	if Decode(join(msg), &at, Untrusted) != nil {
		t.Error("a good one is refused")
	}
}

// remains are what a result has no field of.
type remains struct {
	picky *picky
	table *sync.Map
	keys  map[nested]*remains
	zone  *time.Location
	typ   reflect.Type
	errs  []error
	self  *remains
}

// look uses what is in them.
func (r *remains) look() {
	if r.table != nil {
		r.table.Range(func(k, v any) bool { return r.keys[nested{k, v}] == nil })
	}
	if r.zone != nil {
		_ = time.Unix(1<<31, 0).In(r.zone).String()
	}
	if r.typ != nil {
		_ = r.typ.String()
	}
	for _, err := range r.errs {
		_ = err != nil && errors.Is(err, io.EOF) && err.Error() != ""
	}
}

func FuzzDecode(f *testing.F) {
	v := newResult()
	msg, err := Encode(&v, Options{Snapshot: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(join(msg))
	list := []string{"a", "b"}
	msg, err = Encode(&list, Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(join(msg))
	for _, a := range attacks {
		f.Add(a.as.bytes(f))
	}
	numbers := make([]float64, bulk/8)
	if msg, err = Encode(&numbers, Options{}); err != nil {
		f.Fatal(err)
	}
	f.Add(join(msg))
	for _, a := range errorAttacks {
		if data := a.as.bytes(f); len(data) < 1<<10 {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var r *result
		if Decode(data, &r, Untrusted) == nil {
			r.look()
		}
		var numbers []float64
		if Take(bytes.Clone(data), &numbers, nil) == nil && len(numbers) > 0 {
			numbers[len(numbers)-1] = 1
		}
		var names []string
		if Decode(data, &names, Untrusted) == nil {
			_ = fmt.Sprint(names)
		}
		var m map[string][]point
		if Decode(data, &m, Untrusted) == nil {
			_ = fmt.Sprint(m)
		}
		for _, a := range attacks {
			into := reflect.New(reflect.TypeOf(a.into).Elem())
			_ = Decode(data, into.Interface(), Untrusted)
			runtime.KeepAlive(into)
		}
		var rest remains
		if Decode(data, &rest, Untrusted) == nil {
			rest.look()
		}
		if err, failed := DecodeError(data, Untrusted); failed == nil && err != nil {
			_ = errors.Is(err, io.EOF)
			_ = err.Error()
		}
		runtime.KeepAlive(r)
	})
}

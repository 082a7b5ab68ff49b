package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/url"
	"regexp"
	"slices"
	"sort"
	"strings"
	"time"
)

func scalars() []shape {
	b, i8, u16, i, u64 := true, int8(-8), uint16(16), 42, uint64(1)<<63
	f32, f64, c, r, s := float32(1.5), 2.25, complex(1, -2), 'ü', "text"
	var p *int
	var e error
	return []shape{
		{"nothing", func() string { return "nothing" }},
		{"bool", func() string { return fmt.Sprint(b) }},
		{"int8", func() string { return fmt.Sprint(i8) }},
		{"uint16", func() string { return fmt.Sprint(u16) }},
		{"int", func() string { return fmt.Sprint(i) }},
		{"uint64", func() string { return fmt.Sprint(u64) }},
		{"float32", func() string { return fmt.Sprint(f32) }},
		{"float64", func() string { return fmt.Sprint(f64) }},
		{"complex", func() string { return fmt.Sprint(c) }},
		{"rune", func() string { return string(r) }},
		{"string", func() string { return s + s }},
		{"nil pointer", func() string { return fmt.Sprint(p == nil) }},
		{"nil error", func() string { return fmt.Sprint(e == nil) }},
		{"many small ones", func() string { return fmt.Sprint(b, i8, u16, i, u64, f32, f64, c, r, s) }},
	}
}

type point struct {
	X, Y int
	name string
}

func (p point) sum() string   { return fmt.Sprint(p.X+p.Y, p.name) }
func (p *point) move() string { p.X++; return fmt.Sprint(p.X, p.name) }

type named interface{ sum() string }

type outer struct {
	point
	inner *point
	tags  map[string][]int
}

func composites() []shape {
	sl, nilSlice, empty := []string{"a", "b"}, []int(nil), []int{}
	m, nested := map[string]int{"x": 1, "y": 2}, map[string]map[int][]string{"a": {1: {"b"}}}
	arr, big := [3]int{1, 2, 3}, [40]int{39: 7}
	pt, ptr := point{1, 2, "p"}, &point{3, 4, "q"}
	o := outer{point{5, 6, "r"}, ptr, map[string][]int{"t": {1, 2}}}
	var n named = pt
	var a any = map[string]any{"k": []any{1, "two", nil, 3.5}}
	anon := struct {
		a int
		b []string
	}{1, sl}
	type local struct{ v []point }
	l := local{[]point{pt, *ptr}}
	fns := map[string]func(int) int{"twice": func(i int) int { return 2 * i }}
	pp := &ptr
	return []shape{
		{"slice", func() string { return fmt.Sprint(sl, len(sl)) }},
		{"nil and empty slices", func() string { return fmt.Sprint(nilSlice == nil, empty == nil, len(empty)) }},
		{"map", func() string { return fmt.Sprint(m) }},
		{"nested maps", func() string { return fmt.Sprint(nested) }},
		{"small array", func() string { return fmt.Sprint(arr) }},
		{"large array", func() string { return fmt.Sprint(big[39], len(big)) }},
		{"struct", func() string { return pt.sum() }},
		{"pointer to struct", func() string { return ptr.sum() }},
		{"embedded struct", func() string { return fmt.Sprint(o.sum(), o.inner.name, o.tags) }},
		{"interface with methods", func() string { return n.sum() }},
		{"any", func() string { return fmt.Sprint(a) }},
		{"anonymous struct", func() string { return fmt.Sprint(anon) }},
		{"local type", func() string { return fmt.Sprint(l) }},
		{"functions in a map", func() string { return fmt.Sprint(fns["twice"](21)) }},
		{"pointer to pointer", func() string { return (*pp).sum() }},
	}
}

func references() []shape {
	count, text, list := 1, "t", []int{1}
	shared := &point{1, 1, "shared"}
	also := shared
	array := []int{0, 1, 2, 3, 4, 5}
	left, right := array[:4], array[2:]
	type ring struct {
		next *ring
		v    int
	}
	r := &ring{v: 1}
	r.next = &ring{r, 2}
	field := &shared.Y
	var fib func(int) int
	fib = func(n int) int {
		if n < 2 {
			return n
		}
		return fib(n-1) + fib(n-2)
	}
	add := func(d int) int { return count + d }
	over := func() string { return text + fmt.Sprint(add(1)) }
	count, text = 2, "u"
	return []shape{
		{"variable by reference", func() string { n := count; n++; return fmt.Sprint(n, text) }},
		{"assigned inside", func() string { list := append(list, 2); return fmt.Sprint(list) }},
		{"two pointers to one", func() string { return fmt.Sprint(shared == also) }},
		{"overlapping slices", func() string {
			left[2] = 9
			return fmt.Sprint(right[0] == 9, left[2], func() int { left[2] = 2; return 0 }())
		}},
		{"a ring", func() string { return fmt.Sprint(r.next.next == r, r.next.v) }},
		{"a pointer to a field", func() string { return fmt.Sprint(field == &shared.Y, *field) }},
		{"recursive function", func() string { return fmt.Sprint(fib(12)) }},
		{"function that captured", func() string { return fmt.Sprint(add(40)) }},
		{"function of functions", func() string { return over() }},
	}
}

func methods() []shape {
	p, v := &point{1, 2, "m"}, point{3, 4, "v"}
	var n named = v
	o := &outer{point: v}
	move, sum, viaInterface, promoted, expr := (&point{7, 8, "own"}).move, v.sum, n.sum, o.sum, point.sum
	moveExpr := (*point).move
	buffer := bytes.NewBufferString("buffered")
	return []shape{
		{"method value on pointer", func() string { q := *p; return q.sum() }},
		{"method value on value", sum},
		{"method value on interface", viaInterface},
		{"promoted method value", promoted},
		{"method expression", func() string { return expr(v) }},
		{"method expression on pointer", func() string { c := v; return moveExpr(&c) }},
		{"captured method value", func() string { return sum() + viaInterface() }},
		{"method value itself", buffer.String},
		{"method value with pointer", func() string { _ = move; return "kept" }},
	}
}

type pair[K comparable, V any] struct {
	key K
	val V
}

func (p *pair[K, V]) show() func() string { return func() string { return fmt.Sprint(p.key, p.val) } }

func hold[T any](v T) func() string { return func() string { return fmt.Sprintf("%v", v) } }

//go:noinline
func holdOut[T any](v T) func() string { return func() string { return fmt.Sprintf("%v", v) } }

func both[A, B any](a A, b B) func() string { return func() string { return fmt.Sprint(a, b) } }

func twice[T any](v T) func() string {
	in := func() func() string { return hold([]T{v, v}) }
	return func() string { return in()() }
}

func number[T ~int | ~float64](v T) func() string { return func() string { return fmt.Sprint(v + v) } }

type meters float64

func generics() []shape {
	p := &point{1, 2, "g"}
	return []shape{
		{"generic int", hold(3)},
		{"generic string", holdOut("s")},
		{"generic struct", holdOut(point{1, 2, "x"})},
		{"generic pointer", func() string { return holdOut(p)()[:1] }},
		{"generic interface", holdOut(named(point{1, 2, "i"}))},
		{"generic slice", holdOut([]point{{1, 2, "y"}})},
		{"generic map", holdOut(map[string]int{"a": 1})},
		{"generic time", holdOut(time.Unix(1, 0).UTC())},
		{"generic error", holdOut(io.EOF)},
		{"generic two", both("a", 2.5)},
		{"generic nested", twice("t")},
		{"generic constraint", number(meters(1.5))},
		{"generic method", (&pair[string, int]{"k", 1}).show()},
		{"generic method of struct", (&pair[point, []int]{point{1, 2, "k"}, []int{1}}).show()},
	}
}

func adder(n int) func() string {
	return func() string { n += 2; defer func() { n -= 2 }(); return fmt.Sprint(n) }
}

//go:noinline
func adderOut(n int) func() string { return func() string { return fmt.Sprint(n + 2) } }

func variadic(parts ...string) func() string {
	return func() string { return strings.Join(parts, "+") }
}

func results() (a int, f func() string) {
	f = func() string { return fmt.Sprint(a) }
	a = 9
	return a, f
}

type handler func() string

type holder struct{ h handler }

func makers() []shape {
	_, named := results()
	h := holder{h: handler(adderOut(1))}
	list := []func() string{adder(1), adderOut(5)}
	return []shape{
		{"inlined maker", adder(40)},
		{"maker", adderOut(40)},
		{"variadic maker", variadic("a", "b")},
		{"named result", named},
		{"named function type", h.h},
		{"function in a struct", func() string { return h.h() }},
		{"functions in a slice", func() string { return list[0]() + list[1]() }},
		{"function returned by a function", func() string { return adderOut(3)() }},
	}
}

func controls() (all []shape) {
	for i := range 2 {
		all = append(all, shape{"loop variable", func() string { return fmt.Sprint("i", i) }})
	}
	for k, v := range maps.All(map[string]int{"k": 1}) {
		all = append(all, shape{"range over a function", func() string { return fmt.Sprint(k, v) }})
	}
	for v := range slices.Values([]string{"x", "y"}) {
		v += "!"
		all = append(all, shape{"range over a function, changed", func() string { return v }})
	}
	func() {
		defer func() { _ = recover() }()
		n := 5
		defer func(m int) {
			all = append(all, shape{"made in a deferred call", func() string { return fmt.Sprint(n, m) }})
		}(6)
		if x, ok := any(n).(int); ok {
			all = append(all, shape{"type assertion", func() string { return fmt.Sprint(x, ok) }})
		}
	}()
	made := make(chan shape)
	go func(name string) {
		s := "s"
		made <- shape{name, func() string { return name + s }}
	}("made in a goroutine")
	all = append(all, <-made)
	switch v := any("sw").(type) {
	case string:
		all = append(all, shape{"type switch", func() string { return v }})
	}
	return all
}

var errOwn = errors.New("own")

func libraries() []shape {
	wrapped := fmt.Errorf("wrapped: %w", errors.Join(errOwn, io.ErrUnexpectedEOF))
	when := time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("Z", 3600))
	n, _ := new(big.Int).SetString("123456789012345678901234567890", 10)
	re := regexp.MustCompile(`(\w+)-(\d+)`)
	u, _ := url.Parse("https://user@example.com/a?b=c#d")
	var sb strings.Builder
	sb.WriteString("built")
	words := []string{"c", "a", "b"}
	less := func(i, j int) bool { return words[i] < words[j] }
	replace := strings.NewReplacer("a", "b").Replace
	_ = replace
	return []shape{
		{"errors", func() string {
			return fmt.Sprint(errors.Is(wrapped, errOwn), errors.Is(wrapped, io.ErrUnexpectedEOF), errors.Is(wrapped, io.EOF), wrapped)
		}},
		{"time", func() string { return when.String() }},
		{"duration", time.Duration(90 * time.Second).String},
		{"big number", func() string { return new(big.Int).Mul(n, n).String() }},
		{"regexp", func() string { return fmt.Sprint(re.FindStringSubmatch("x abc-12")) }},
		{"url", u.String},
		{"strings.Builder", sb.String},
		{"for package sort", func() string { w := words; sort.Slice(w, less); return fmt.Sprint(w) }},
	}
}

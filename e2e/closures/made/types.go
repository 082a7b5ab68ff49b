// Package made holds closures that a program has written: every value in some of the ways in which a closure can capture one.
package made

import (
	"errors"
	"fmt"
	"iter"
)

//go:generate sh -c "go run ./generate | go run mvdan.cc/gofumpt@v0.12.0 >closures.go.new && mv closures.go.new closures.go"

// Closure is a function that has captured something in some way, and returns a description of it.
type Closure struct {
	Kind string // of capture
	Name string
	Fn   func() string
}

type dot struct{ x, y int }

func (d dot) text() string { return fmt.Sprint(d.x, ",", d.y) }
func (d dot) sum() int     { return d.x + d.y }

type texter interface{ text() string }

type word string

func (w word) text() string { return string(w) }

type level int8

func (l level) text() string { return fmt.Sprint("level ", int(l)) }

type (
	list      []int
	table     map[string]dot
	handle    func() int
	byteArray [2]byte
)

type mixed struct {
	flag  bool
	small int16
	n     int
	text  string
	list  []int
	table map[string]int
	at    *dot
	any   any
	f     float64
}

type ring struct {
	next *ring
	n    int
}

func newRing(n int) *ring {
	first := &ring{n: n}
	last := first
	for i := 1; i < n; i++ {
		last.next = &ring{n: i}
		last = last.next
	}
	last.next = first
	return first
}

type outer struct {
	dot
	at *dot
	word
}

func (o outer) text() string { return o.word.text() }

type tree struct {
	left, right *tree
	label       string
	leaves      []*tree
}

func newTree(depth int) *tree {
	if depth == 0 {
		return &tree{label: "leaf"}
	}
	t := &tree{left: newTree(depth - 1), label: fmt.Sprint("depth ", depth)}
	t.right = t.left
	t.leaves = []*tree{t.left, t}
	return t
}

var errClosed = errors.New("closed")

type failure struct {
	code  int
	cause error
}

func (f *failure) Error() string { return fmt.Sprint("failure ", f.code, ": ", f.cause) }
func (f *failure) Unwrap() error { return f.cause }

type failed int

func (f failed) Error() string { return fmt.Sprint("failed ", int(f)) }

func many(n int) map[string]int {
	m := make(map[string]int)
	for i := range n {
		m[fmt.Sprint("key ", i)] = i
	}
	return m
}

func pointerTo[T any](v T) *T { return &v }

func counter(n int) func() int { return func() int { return n * 2 } }

func prefixed(p string) func(int) string { return func(i int) string { return fmt.Sprint(p, i) } }

func once[T any](v T) iter.Seq2[int, T] {
	return func(yield func(int, T) bool) { yield(7, v) }
}

type crate[T any] struct {
	v T
	n int
}

func (c crate[T]) text() string     { return show(c.v) }
func (c *crate[T]) pointed() string { return show(c.v) + show(c.n) }

func (c *crate[T]) maker(n int) func() string {
	return func() string { return show(c.v) + show(n) }
}

func held[T any](v T) func() string { return func() string { return show(v) } }

//go:noinline
func heldOut[T any](v T) func() string { return func() string { return show(v) } }

//go:noinline
func heldBoth[A, B any](a A, b B) func() string { return func() string { return show(a) + show(b) } }

//go:noinline
func heldReference[T any](v, then T) func() string {
	fn := func() string { return show(v) }
	v = then
	return fn
}

//go:noinline
func heldPointer[T any](p *T) func() string { return func() string { return show(*p) } }

//go:noinline
func heldDeep[T any](v T) func() string {
	inner := func() func() string { return heldBoth(v, []T{v}) }
	return func() string { return inner()() }
}

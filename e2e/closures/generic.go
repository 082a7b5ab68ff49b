package main

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"time"
)

type stack[T any] struct {
	items []T
	show  func(T) string
}

func (s *stack[T]) push(v T) *stack[T] {
	s.items = append(s.items, v)
	return s
}

func (s *stack[T]) each() string {
	var all string
	for _, v := range s.items {
		all += s.show(v) + ";"
	}
	return all
}

// printer makes a closure in a method of a generic value.
func (s stack[T]) printer(n int) func() string {
	return func() string { return fmt.Sprint(n, s.show(s.items[n])) }
}

// above embeds a generic type in a generic type.
type above[A, B any] struct {
	stack[A]
	other B
}

type resetter[T any] interface {
	*T
	reset(int)
}

func (p *point) reset(n int) { p.X, p.Y, p.name = n, n, "reset" }

//go:noinline
func fresh[T any, P resetter[T]](n int) func() T {
	return func() T {
		var v T
		P(&v).reset(n)
		return v
	}
}

type other struct {
	label string
	n     int
}

//go:noinline
func field[T, F any](v T, get func(T) F) func() string {
	return func() string { return fmt.Sprint(get(v)) }
}

//go:noinline
func largest[T cmp.Ordered](list ...T) func() string {
	return func() string { return fmt.Sprint(slices.Max(list)) }
}

//go:noinline
func mapped[A, B any](seq iter.Seq[A], f func(A) B) iter.Seq[B] {
	return func(yield func(B) bool) {
		for v := range seq {
			if !yield(f(v)) {
				return
			}
		}
	}
}

//go:noinline
func deepest[T any](v T) func() string {
	return func() string {
		inner := func() []T { return []T{v} }
		return fmt.Sprintf("%v %T", inner(), inner())
	}
}

//go:noinline
func outerOf[T any](v T) func() string { return deepest(map[string]T{"k": v}) }

//go:noinline
func byReference[T any](first, second T) func() string {
	v := first
	fn := func() string { return fmt.Sprintf("%v", v) }
	v = second
	return fn
}

type sequence[T any] = []T

func genericShapes() []shape {
	text := func(s string) string { return "<" + s + ">" }
	strs := (&stack[string]{show: text}).push("a").push("b")
	points := (&stack[*point]{show: func(p *point) string { return p.sum() }}).push(&point{1, 2, "p"})
	up := above[string, *other]{*strs, &other{"o", 1}}
	squares := mapped(slices.Values([]int{1, 2, 3}), func(i int) string { return fmt.Sprint(i * i) })
	make3 := fresh[point](3)
	alias := sequence[string]{"al", "ias"}
	return []shape{
		{"generic method value", strs.each},
		{"generic method value of pointers", points.each},
		{"closure of a generic method", strs.printer(1)},
		{"closure of a generic method of pointers", points.printer(0)},
		{"generic in generic", func() string { return up.each() + up.other.label }},
		{"promoted generic method value", up.each},
		{"constraint of a pointer", func() string { return make3().sum() }},
		{"generic and function", field(point{1, 2, "f"}, func(p point) string { return p.name })},
		{"generic pointer and function", field(&other{"lbl", 2}, func(o *other) string { return o.label })},
		{"generic variadic", largest(3, 9, 2)},
		{"generic variadic of strings", largest("c", "z", "a")},
		{"generic iterator", func() string { return fmt.Sprint(slices.Collect(squares)) }},
		{"generic inside generic", outerOf(5)},
		{"generic inside generic of pointers", func() string { return outerOf(&other{"x", 1})()[:5] }},
		{"generic by reference", byReference("old", "new")},
		{"generic by reference of structs", byReference(other{"old", 1}, other{"new", 2})},
		{"generic alias", holdOut(alias)},
		{"generic array", holdOut([5]string{4: "five"})},
		{"generic empty struct", holdOut(struct{}{})},
		{"generic anonymous struct", holdOut(struct{ A, b int }{1, 2})},
		{"generic duration", holdOut(time.Minute)},
		{"generic slice of pointers", func() string { return fmt.Sprint(len(holdOut([]*other{{"a", 1}})()) > 2) }},
		{"generic nil interface", holdOut[any](nil)},
		{"generic of bool and map", both(true, map[string][]int{"a": {1}})},
		{"generic of slice and interface", both([]string{"s"}, any(2.5))},
		{"generic of struct and error", both(other{"o", 3}, fmt.Errorf("e"))},
		{"generic instance as a value", func() string { return instance(4) }},
	}
}

var instance = shown[int]

func shown[T any](v T) string { return fmt.Sprintf("%T %v", v, v) }

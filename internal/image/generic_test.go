package image

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unsafe"
)

// list is a generic type that contains itself.
type list[T any] struct {
	next *list[T]
	v    T
}

//go:noinline
func (l *list[T]) length() func() int {
	return func() int {
		n := 0
		for e := l; e != nil; e = e.next {
			n++
		}
		return n
	}
}

// keepsFirst names both parameters in its dictionary and captures only the first.
//
//go:noinline
func keepsFirst[K, V any](k K, v V) func() K {
	s := fmt.Sprint(v)
	return func() K { _ = s; return k }
}

//go:noinline
func byReference[K any](k K) func(K) K {
	return func(next K) K { k, next = next, k; return next }
}

// pointerOrReference has a variable of type *V beside one of type K that is captured by reference: with two pointers
// for K and V both are **uint8 to the compiler.
//
//go:noinline
func pointerOrReference[K, V any](k K, v *V) func(K) K {
	return func(next K) K { _ = v; k, next = next, k; return next }
}

// methodOfArgument takes the value of a method of one argument and prints the other.
//
//go:noinline
func methodOfArgument[K fmt.Stringer, V any](k []K, v V) func() string {
	_ = fmt.Sprint(v)
	return k[0].String
}

//go:noinline
func methodOfGeneric[K, V any](k K, v V) func() func() K {
	_ = fmt.Sprint(v)
	return (&box[K]{k}).get
}

type tagged[T any] struct{ n int }

//go:noinline
func phantom[A, B any](a tagged[A], b tagged[B]) func() int { return func() int { return a.n + b.n } }

// pairOf is inlined into its caller.
func pairOf[K, V any](k K, v V) func() (K, V) { return func() (K, V) { return k, v } }

type otherPoint struct{ X, Y int }

func TestGenericClosuresAreUnderstoodThroughTheirDictionary(t *testing.T) {
	im := mustSelf(t)
	p, n := &point{1, 2}, 7
	for _, s := range []shape{
		{"list of int", funcval((&list[int]{}).length()), types(new(*list[int]))},
		{"list of pointer", funcval((&list[*point]{}).length()), types(new(*list[*point]))},
		{"list of list", funcval((&list[list[string]]{}).length()), types(new(*list[list[string]]))},
		{"by reference", funcval(byReference(p)), types(new(**point))},
		{"int by reference", funcval(byReference(3)), types(new(*int))},
		{"method of generic", funcval(methodOfGeneric(p, &n)), types(new(*box[*point]))},
		{"two shapes", funcval(keepsFirst(p, "x")), types(new(string), new(*point))},
		{"phantom of one type", funcval(phantom(tagged[int]{}, tagged[int]{})), types(new(tagged[int]), new(tagged[int]))},
		{"inlined pair", funcval(pairOf(p, 2)), types(new(*point), new(int))},
		{"one type twice", funcval(pairOf(p, p)), types(new(*point), new(*point))},
	} {
		got, err := captured(im, s.fv)
		if err != nil || !reflect.DeepEqual(sorted(got), sorted(s.want)) {
			t.Errorf("%s: %v, %v; want %v", s.name, got, err, s.want)
		}
	}
}

func sorted(list []reflect.Type) map[string]int {
	m := make(map[string]int)
	for _, t := range list {
		m[t.PkgPath()+" "+t.String()]++
	}
	return m
}

// What one shape may stand for in two ways is refused: a pointer copied as another type would be memory destroyed.
func TestTwoTypesOfOneShapeAreRefused(t *testing.T) {
	im := mustSelf(t)
	p, s := &point{}, new(string)
	for name, fv := range map[string]unsafe.Pointer{
		"two pointers":                      funcval(two(new(int), s)),
		"only one of two is captured":       funcval(keepsFirst(p, s)),
		"a pointer or a reference":          funcval(pointerOrReference(p, &s)),
		"a method value of one of them":     funcval(methodOfArgument([]*point{p}, s)),
		"two struct types":                  funcval(keepsFirst(point{}, otherPoint{})),
		"arguments that nothing depends on": funcval(phantom(tagged[*point]{}, tagged[*string]{})),
	} {
		got, err := captured(im, fv)
		var refused *RefusalError
		if !errors.As(err, &refused) || !strings.Contains(refused.Reason, "it is generic") || refused.Line == 0 {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// Each dictionary has an answer of its own, whichever was asked first.
func TestOneFunctionWithManyArgumentsIsUnderstoodEachTime(t *testing.T) {
	im := mustSelf(t)
	for range 2 {
		for _, s := range []shape{
			{"point", funcval(byReference(&point{})), types(new(**point))},
			{"other", funcval(byReference(&otherPoint{})), types(new(**otherPoint))},
			{"int", funcval(byReference(new(int))), types(new(**int))},
		} {
			if got, err := captured(im, s.fv); err != nil || !reflect.DeepEqual(got, s.want) {
				t.Errorf("%s: %v, %v", s.name, got, err)
			}
		}
	}
}

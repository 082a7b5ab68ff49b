package codec

import (
	"reflect"
	"sync"
	"unsafe"

	"github.com/fleetinglambda/flame/internal/image"
)

// typeSet is what untrusted bytes may name: types of this program that a result of one type can have in it.
type typeSet struct {
	byOffset map[uint64]*plan
	errors   func() *typeSet // looked at next; nil in the set of errors itself
	lends    bool            // one of them may lend something
}

// at returns the plan of the type at an offset; nil if it is not in the set.
func (s *typeSet) at(off uint64) *plan {
	if p := s.byOffset[off]; p != nil || s.errors == nil {
		return p
	}
	return s.errors().at(off)
}

// typeSets keeps the sets: reflect.Type -> *typeSet.
var typeSets sync.Map

// typesFrom returns the set for results of type t.
func typesFrom(im *image.Image, t reflect.Type) *typeSet {
	if s, ok := typeSets.Load(t); ok {
		return s.(*typeSet)
	}
	s := &typeSet{byOffset: make(map[uint64]*plan), errors: errorTypes}
	s.include(im, t)
	for _, basic := range basicTypes {
		s.include(im, basic)
	}
	known, _ := typeSets.LoadOrStore(t, s)
	return known.(*typeSet)
}

// basicTypes may be in every interface.
var basicTypes = []reflect.Type{
	reflect.TypeFor[bool](), reflect.TypeFor[string](), timeType, reflect.TypeFor[struct{}](),
	reflect.TypeFor[int](), reflect.TypeFor[int8](), reflect.TypeFor[int16](), reflect.TypeFor[int32](), reflect.TypeFor[int64](),
	reflect.TypeFor[uint](), reflect.TypeFor[uint8](), reflect.TypeFor[uint16](), reflect.TypeFor[uint32](), reflect.TypeFor[uint64](),
	reflect.TypeFor[float32](), reflect.TypeFor[float64](), reflect.TypeFor[complex128](), reflect.TypeFor[uintptr](),
	reflect.TypeFor[[]byte](), reflect.TypeFor[[]string](), reflect.TypeFor[[]int](), reflect.TypeFor[[]float64](), reflect.TypeFor[[]any](),
	reflect.TypeFor[mapEntry](), reflect.TypeFor[map[string]any](), reflect.TypeFor[map[string]string](), reflect.TypeFor[map[string]int](),
}

// errorTypes is the set of the types that this program uses as errors, and of what they have in them.
var errorTypes = sync.OnceValue(func() *typeSet {
	s := &typeSet{byOffset: make(map[uint64]*plan)}
	if im, err := image.Self(); err == nil {
		s.include(im, errorType)
	}
	return s
})

// include adds a type and what can be reached from it: types of fields and elements, and for interfaces with
// methods what the program converts to them.
func (s *typeSet) include(im *image.Image, t reflect.Type) {
	todo := []reflect.Type{t}
	for len(todo) > 0 {
		t := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		p := planOf(t)
		if !p.inImage || p.refused != nil || s.byOffset[p.off] != nil {
			continue
		}
		s.byOffset[p.off] = p
		s.lends = s.lends || comesBack(t)
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array:
			todo = append(todo, t.Elem())
		case reflect.Map:
			todo = append(todo, t.Key(), t.Elem())
		case reflect.Struct:
			for i := range t.NumField() {
				todo = append(todo, t.Field(i).Type)
			}
		case reflect.Interface:
			if t.NumMethod() > 0 {
				todo = append(todo, implementations()[t]...)
			}
		}
	}
}

// unnamed refuses an interface in a result that holds what the parent would not take.
func (e *encoder) unnamed(p *plan, in int32, at unsafe.Pointer) {
	t := p.typ.String()
	e.err = e.sendError(in, at, nil, "it holds "+article(t)+" "+t+", and the parent takes from an interface in a result only what the result's type names, "+
		"basic types and errors: return it as "+article(t)+" "+t+", or in an interface with methods that it implements")
}

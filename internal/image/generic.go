package image

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// The code of a generic function is shared by all type arguments of one shape, and so is the descriptor of its
// closures: it says go.shape.*uint8 for every pointer type. What the types really are stands in the dictionary that
// the closure carries. A shape is never used to copy: it is replaced, or the closure is refused.
//
// Why one candidate is certain: the dictionary names the type of every parameter and variable that generic code
// declares, and what a closure captures is one of these, or a pointer to one if it was captured by reference. So
// the true type is always among the candidates, and if there is only one, it is that.

// maxDictionary bounds how many words of a dictionary are read.
const maxDictionary = 4096

// resolve replaces the shapes in c's fields by the types in the dictionary.
func (im *Image) resolve(c *Closure, dict uintptr) (*Closure, error) {
	types := im.dictionaryTypes(c, dict)
	r := *c
	r.shapes = false
	r.Fields = append([]Field(nil), c.Fields...)
	for i, f := range r.Fields {
		if !hasShape(f.Type) {
			continue
		}
		t, err := resolveShape(f.Type, types)
		if err != nil {
			return nil, c.refuse(err.Error())
		}
		r.Fields[i].Type = t
	}
	return &r, nil
}

// dictionaryTypes returns the distinct types that a dictionary names. Function pointers, interface tables and
// other dictionaries stand in it too.
func (im *Image) dictionaryTypes(c *Closure, dict uintptr) (types []reflect.Type) {
	seen := make(map[uintptr]bool)
	for i := range min(dictionaryLength(c), maxDictionary) {
		addr := dict + uintptr(i)*ptrSize
		if addr%ptrSize != 0 || im.within(addr, ptrSize) != ReadOnly {
			break
		}
		w := word(addr)
		if seen[w] || !im.maybeDescriptor(w) {
			continue
		}
		seen[w] = true
		if t := typeOf(at(w)); !hasShape(t) {
			types = append(types, t)
		}
	}
	return types
}

func dictionaryLength(c *Closure) int {
	for _, f := range c.Fields {
		if f.Dict {
			return f.Type.Elem().Len()
		}
	}
	return 0
}

// resolveShape returns the one type that the shape can stand for in code which declares variables of these types.
func resolveShape(shape reflect.Type, declared []reflect.Type) (reflect.Type, error) {
	found := make(map[reflect.Type]bool)
	for _, t := range declared {
		if sameShape(shape, t) {
			found[t] = true
		}
		if shape.Kind() == reflect.Pointer && !isShape(shape) && sameShape(shape.Elem(), t) {
			found[reflect.PointerTo(t)] = true // captured by reference
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("it is generic, and what type stands for %s in what it captured is not known: "+
			"pass the value through a function that is not generic, or wrap it in a struct type", shape)
	}
	types := slices.SortedFunc(maps.Keys(found), func(a, b reflect.Type) int { return strings.Compare(a.String(), b.String()) })
	if len(types) > 1 {
		return nil, fmt.Errorf("it is generic, and in what it captured %s could be %v or %v: "+
			"pass the value through a function that is not generic, or wrap it in a struct type", shape, types[0], types[1])
	}
	return types[0], nil
}

// hasShape says whether a type is a shape or made of shapes.
func hasShape(t reflect.Type) bool { return strings.Contains(t.String(), "go.shape.") }

// isShape says whether a type is itself what the compiler put for a type argument.
func isShape(t reflect.Type) bool { return strings.HasPrefix(t.String(), "go.shape.") }

// sameShape says whether a value of type t may stand where the compiler wrote shape.
func sameShape(shape, t reflect.Type) bool { return make(matcher).same(shape, t) }

// matcher compares shapes with types. It remembers the pairs it has met, for types that contain themselves.
type matcher map[[2]reflect.Type]bool

func (m matcher) same(shape, t reflect.Type) bool {
	pair := [2]reflect.Type{shape, t}
	switch {
	case shape == t || m[pair]:
		return true
	case !hasShape(shape) || shape.Kind() != t.Kind() || shape.Size() != t.Size():
		return false
	case shape.String() == "go.shape.*uint8":
		return true // stands for any pointer
	case !isShape(shape) && (generic(shape.Name()) != generic(t.Name()) || shape.Name() != "" && shape.PkgPath() != t.PkgPath()):
		return false // a generic type such as Box[go.shape.int], or an unnamed one
	}
	m[pair] = true
	return m.sameParts(shape, t)
}

// sameParts compares what two types of one kind are made of.
func (m matcher) sameParts(shape, t reflect.Type) bool {
	switch shape.Kind() {
	case reflect.Pointer, reflect.Slice:
		return m.same(shape.Elem(), t.Elem())
	case reflect.Array:
		return shape.Len() == t.Len() && m.same(shape.Elem(), t.Elem())
	case reflect.Chan:
		return shape.ChanDir() == t.ChanDir() && m.same(shape.Elem(), t.Elem())
	case reflect.Map:
		return m.same(shape.Key(), t.Key()) && m.same(shape.Elem(), t.Elem())
	case reflect.Struct:
		return m.sameFields(shape, t)
	case reflect.Interface:
		return m.sameMethods(shape, t)
	case reflect.Func:
		return m.sameSignature(shape, t)
	default:
		return true
	}
}

func (m matcher) sameFields(shape, t reflect.Type) bool {
	if shape.NumField() != t.NumField() {
		return false
	}
	for i := range shape.NumField() {
		a, b := shape.Field(i), t.Field(i)
		if a.Name != b.Name || a.Offset != b.Offset || a.Tag != b.Tag || a.PkgPath != b.PkgPath || !m.same(a.Type, b.Type) {
			return false
		}
	}
	return true
}

func (m matcher) sameMethods(shape, t reflect.Type) bool {
	if shape.NumMethod() != t.NumMethod() {
		return false
	}
	for i := range shape.NumMethod() {
		if shape.Method(i).Name != t.Method(i).Name || !m.same(shape.Method(i).Type, t.Method(i).Type) {
			return false
		}
	}
	return true
}

func (m matcher) sameSignature(shape, t reflect.Type) bool {
	return shape.IsVariadic() == t.IsVariadic() &&
		m.sameTypes(slices.Collect(shape.Ins()), slices.Collect(t.Ins())) &&
		m.sameTypes(slices.Collect(shape.Outs()), slices.Collect(t.Outs()))
}

func (m matcher) sameTypes(shapes, types []reflect.Type) bool {
	return slices.EqualFunc(shapes, types, m.same)
}

// generic is the name of a generic type without its arguments.
func generic(name string) string {
	base, _, _ := strings.Cut(name, "[")
	return base
}

package image

import (
	"fmt"
	"reflect"
	"strings"
)

// The code of a generic function is shared by all type arguments of one shape, and so is the descriptor of its
// closures: it says go.shape.*uint8 for every pointer type. What the types really are stands in the dictionary that
// the closure carries. A shape is never used to copy: it is replaced, or the closure is refused.

// maxDictionary bounds how many words of a dictionary are read.
const maxDictionary = 4096

// resolve replaces the shapes in c's fields by the types in the dictionary.
func (im *Image) resolve(c *Closure, dict uintptr) (*Closure, error) {
	types := im.dictionaryTypes(c, dict)
	r := *c
	r.Fields = append([]Field(nil), c.Fields...)
	for i, f := range r.Fields {
		if !strings.Contains(f.Type.String(), "go.shape.") {
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
		if t := typeOf(at(w)); !strings.Contains(t.String(), "go.shape.") {
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

// resolveShape returns the one type among the candidates that has the shape, or the one type that can be made of them.
func resolveShape(shape reflect.Type, candidates []reflect.Type) (reflect.Type, error) {
	var found []reflect.Type
	for _, t := range candidates {
		if sameShape(shape, t) {
			found = append(found, t)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) == 0:
		if t, err := compose(shape, candidates); err == nil {
			return t, nil
		}
		return nil, fmt.Errorf("it is generic, and what type stands for %s in what it captured is not known: "+
			"assign the variable to one of a named struct type outside the generic function, or pass it as an argument of a method", shape)
	default:
		return nil, fmt.Errorf("it is generic, and in what it captured %s could be %v or %v: "+
			"give the function one type parameter of this shape, or move the closure out of generic code", shape, found[0], found[1])
	}
}

// compose makes an unnamed type such as []T, *T or map[K]V whose parts can be resolved.
func compose(shape reflect.Type, candidates []reflect.Type) (reflect.Type, error) {
	part := func(p reflect.Type) (reflect.Type, error) {
		if !strings.Contains(p.String(), "go.shape.") {
			return p, nil
		}
		return resolveShape(p, candidates)
	}
	if shape.Name() != "" {
		return nil, errNoMaker
	}
	switch shape.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Chan:
		elem, err := part(shape.Elem())
		if err != nil {
			return nil, err
		}
		switch shape.Kind() {
		case reflect.Pointer:
			return reflect.PointerTo(elem), nil
		case reflect.Slice:
			return reflect.SliceOf(elem), nil
		case reflect.Array:
			return reflect.ArrayOf(shape.Len(), elem), nil
		default:
			return reflect.ChanOf(shape.ChanDir(), elem), nil
		}
	case reflect.Map:
		key, err := part(shape.Key())
		if err != nil {
			return nil, err
		}
		elem, err := part(shape.Elem())
		if err != nil {
			return nil, err
		}
		return reflect.MapOf(key, elem), nil
	case reflect.Func:
		return composeFunc(shape, part)
	default:
		return nil, errNoMaker
	}
}

func composeFunc(shape reflect.Type, part func(reflect.Type) (reflect.Type, error)) (reflect.Type, error) {
	var in, out []reflect.Type
	for p := range shape.Ins() {
		t, err := part(p)
		if err != nil {
			return nil, err
		}
		in = append(in, t)
	}
	for p := range shape.Outs() {
		t, err := part(p)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return reflect.FuncOf(in, out, shape.IsVariadic()), nil
}

// sameShape says whether a value of type t may stand where the compiler wrote shape.
func sameShape(shape, t reflect.Type) bool {
	if shape == t {
		return true
	}
	if shape.Kind() != t.Kind() || shape.Size() != t.Size() {
		return false
	}
	name, isShape := strings.CutPrefix(shape.String(), "go.shape.")
	if !isShape && shape.Name() != "" { // a generic type with shapes as arguments: main.Box[go.shape.int]
		if generic(shape.Name()) != generic(t.Name()) || shape.PkgPath() != t.PkgPath() {
			return false
		}
	} else if !isShape && t.Name() != "" {
		return false
	}
	if isShape && name == "*uint8" {
		return true // any pointer
	}
	return sameParts(shape, t)
}

// sameParts compares what two types of one kind are made of.
func sameParts(shape, t reflect.Type) bool {
	switch shape.Kind() {
	case reflect.Pointer, reflect.Slice:
		return sameShape(shape.Elem(), t.Elem())
	case reflect.Array:
		return shape.Len() == t.Len() && sameShape(shape.Elem(), t.Elem())
	case reflect.Chan:
		return shape.ChanDir() == t.ChanDir() && sameShape(shape.Elem(), t.Elem())
	case reflect.Map:
		return sameShape(shape.Key(), t.Key()) && sameShape(shape.Elem(), t.Elem())
	case reflect.Struct:
		return sameFields(shape, t)
	case reflect.Interface:
		return sameMethods(shape, t)
	case reflect.Func:
		return sameSignature(shape, t)
	default:
		return true
	}
}

func sameFields(shape, t reflect.Type) bool {
	if shape.NumField() != t.NumField() {
		return false
	}
	for i := range shape.NumField() {
		a, b := shape.Field(i), t.Field(i)
		if a.Name != b.Name || a.Offset != b.Offset || a.Tag != b.Tag || a.PkgPath != b.PkgPath || !sameShape(a.Type, b.Type) {
			return false
		}
	}
	return true
}

func sameMethods(shape, t reflect.Type) bool {
	if shape.NumMethod() != t.NumMethod() {
		return false
	}
	for i := range shape.NumMethod() {
		if shape.Method(i).Name != t.Method(i).Name {
			return false
		}
	}
	return true
}

func sameSignature(shape, t reflect.Type) bool {
	if shape.NumIn() != t.NumIn() || shape.NumOut() != t.NumOut() || shape.IsVariadic() != t.IsVariadic() {
		return false
	}
	for i := range shape.NumIn() {
		if !sameShape(shape.In(i), t.In(i)) {
			return false
		}
	}
	for i := range shape.NumOut() {
		if !sameShape(shape.Out(i), t.Out(i)) {
			return false
		}
	}
	return true
}

// generic is the name of a generic type without its arguments.
func generic(name string) string {
	base, _, _ := strings.Cut(name, "[")
	return base
}

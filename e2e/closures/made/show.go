package made

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
)

// show describes a value with all that it leads to, so that two values with the same description are alike: pointers by
// what they point to and whether that was met before, maps in order, functions by what they return.
func show(v any) string {
	s := shower{seen: make(map[pointer]int)}
	s.show(reflect.ValueOf(v))
	return s.out.String()
}

type pointer struct {
	at  uintptr
	typ reflect.Type
}

type shower struct {
	out  strings.Builder
	seen map[pointer]int
}

func (s *shower) show(v reflect.Value) {
	if !v.IsValid() {
		s.out.WriteString("nil ")
		return
	}
	fmt.Fprintf(&s.out, "%v ", v.Type())
	switch v.Kind() {
	case reflect.Float32, reflect.Float64:
		fmt.Fprintf(&s.out, "%x ", math.Float64bits(v.Float()))
	case reflect.String:
		fmt.Fprintf(&s.out, "%q ", v.String())
	case reflect.Pointer:
		s.pointer(v)
	case reflect.Interface:
		s.show(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			s.show(v.Field(i))
		}
	case reflect.Slice, reflect.Array:
		fmt.Fprint(&s.out, v.Kind() == reflect.Slice && v.IsNil(), v.Len(), " ")
		for i := range v.Len() {
			s.show(v.Index(i))
		}
	case reflect.Map:
		s.mapped(v)
	case reflect.Func:
		s.function(v)
	default:
		fmt.Fprint(&s.out, v, " ")
	}
}

func (s *shower) pointer(v reflect.Value) {
	p := pointer{v.Pointer(), v.Type()}
	if n, ok := s.seen[p]; ok || v.IsNil() {
		fmt.Fprintf(&s.out, "#%d ", n)
		return
	}
	s.seen[p] = len(s.seen) + 1
	s.show(v.Elem())
}

func (s *shower) mapped(v reflect.Value) {
	var entries []string
	for k, e := range v.Seq2() {
		in := shower{seen: s.seen}
		in.show(k)
		in.show(e)
		entries = append(entries, in.out.String())
	}
	slices.Sort(entries)
	fmt.Fprint(&s.out, v.IsNil(), entries)
}

// function calls what takes nothing, or one number, and can be called.
func (s *shower) function(v reflect.Value) {
	switch {
	case v.IsNil():
		s.out.WriteString("nil ")
	case !v.CanInterface():
		s.out.WriteString("func ")
	default:
		switch f := v.Interface().(type) {
		case func() int:
			fmt.Fprint(&s.out, f(), " ")
		case func(int) string:
			fmt.Fprint(&s.out, f(7), " ")
		case handle:
			fmt.Fprint(&s.out, f(), " ")
		default:
			s.out.WriteString("func ")
		}
	}
}

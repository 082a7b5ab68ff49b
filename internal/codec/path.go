package codec

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"github.com/fleetinglambda/flame/internal/image"
)

// refuse ends the collection: the memory at an address in a region has, or leads to, a variable of p's type, which
// cannot cross.
func (e *encoder) refuse(in int32, at unsafe.Pointer, p *plan) {
	e.err = e.sendError(in, at, p, p.refused.reason)
}

// refusedClosure is for a func value whose captured variables are not known.
func (e *encoder) refusedClosure(in int32, at unsafe.Pointer, err error) error {
	var r *image.RefusalError
	if !errors.As(err, &r) {
		return e.sendError(in, at, nil, err.Error())
	}
	steps := append(e.steps(in, at), function(r.Func, r.File, r.Line))
	return &SendError{Path: joinSteps(steps), Reason: r.Reason}
}

// sendError makes the error for what the memory at an address in a region has or leads to; p is nil if that is
// no refused type.
func (e *encoder) sendError(in int32, at unsafe.Pointer, p *plan, reason string) error {
	steps := e.steps(in, at)
	if len(steps) == 0 && p != nil {
		steps = append(steps, p.typ.String())
	}
	if p != nil && p.refused != nil {
		if c := p.closure; c != nil {
			if f := function(c.Name, c.File, c.Line); len(steps) == 0 || steps[len(steps)-1] != f {
				steps = append(steps, f)
			}
			steps = append(steps, "captured "+p.refused.typ.String())
		} else if p.refused.path != "" {
			steps = append(steps, fmt.Sprintf("%s (%v)", p.refused.path, p.refused.typ))
		} else if last := steps[len(steps)-1]; !strings.HasSuffix(strings.TrimSuffix(last, ")"), p.typ.String()) {
			steps = append(steps, fmt.Sprintf("(%v)", p.typ))
		}
	}
	return &SendError{Path: joinSteps(steps), Reason: reason}
}

// function describes a func value to people.
func function(name, file string, line int) string {
	return fmt.Sprintf("func %s (%s:%d)", name, filepath.Base(file), line)
}

const arrow = " → "

// joinSteps writes a path, from the first function on: what is before it is how the call was made.
func joinSteps(steps []string) string {
	for i, s := range steps {
		if strings.HasPrefix(s, "func ") {
			steps = steps[i:]
			break
		}
	}
	if len(steps) == 0 {
		return "the value"
	}
	const shown = 12
	if len(steps) > shown {
		steps = slices.Concat(steps[:shown/2], []string{"…"}, steps[len(steps)-shown/2:])
	}
	s := strings.Join(steps, arrow)
	return strings.ReplaceAll(s, arrow+"captured ", ": captured ")
}

// steps returns the way to the memory at an address in a region.
func (e *encoder) steps(in int32, at unsafe.Pointer) (steps []string) {
	for n := 0; in >= 0 && n < 1000; n++ {
		r := &e.regions[in]
		steps = append(steps, r.step(at)...)
		in, at = r.from, e.place(r.from, r.at)
	}
	slices.Reverse(steps)
	return steps
}

// owner returns the type of what a program would declare as its own of each process, where a pointer to a variable of type
// t was met: the innermost type of the package that the function is of, or else the outermost that a pointer leads to.
func (e *encoder) owner(in int32, t reflect.Type) reflect.Type {
	types := []reflect.Type{t} // from the inside out
	var home string
	for n := 0; in >= 0 && n < 1000; n++ {
		r := &e.regions[in]
		switch {
		case r.kind == kindClosure:
			home = packageOf(r.whole.closure.Name)
		case r.kind == kindOne && r.from >= 0 && r.plan.typ.Kind() == reflect.Struct && r.plan.typ.Name() != "":
			types = append(types, r.plan.typ)
		}
		in = r.from
	}
	for _, inner := range types {
		if inner.PkgPath() == home {
			return inner
		}
	}
	return types[len(types)-1]
}

// packageOf returns the path of the package that a function is of.
func packageOf(name string) string {
	slash := strings.LastIndex(name, "/") + 1
	before, _, _ := strings.Cut(name[slash:], ".")
	return name[:slash] + before
}

// step describes a region and the place in it that was on the way, last things first.
func (r *region) step(at unsafe.Pointer) []string {
	switch {
	case r.kind == kindClosure:
		c := r.whole.closure
		f := function(c.Name, c.File, c.Line)
		for i := range c.Fields {
			if off := uintptr(at) - uintptr(r.addr); at != nil && off >= c.Fields[i].Offset && off-c.Fields[i].Offset < c.Fields[i].Type.Size() {
				within, t := describePlace(c.Fields[i].Type, off-c.Fields[i].Offset)
				if within != "" {
					return []string{within + " (" + t.String() + ")", "captured " + c.Fields[i].Type.String(), f}
				}
				return []string{"captured " + t.String(), f}
			}
		}
		return []string{f}
	case at == nil:
		return nil
	case r.kind == kindMap:
		return []string{"an entry of the " + r.plan.typ.String()}
	}
	off := uintptr(at) - uintptr(r.addr)
	i := off / r.plan.size
	within, t := describePlace(r.plan.typ, off%r.plan.size)
	if r.kind == kindMany {
		within = "[" + strconv.Itoa(int(i)) + "]" + within
	}
	if within == "" {
		within = r.plan.typ.String()
		if r.from < 0 {
			return []string{within}
		}
		return nil
	}
	step := within + " (" + t.String() + ")"
	if r.from < 0 {
		return []string{step, r.plan.typ.String()}
	}
	return []string{step}
}

// describePlace names the field or element at an offset in a variable, and its type.
func describePlace(t reflect.Type, off uintptr) (string, reflect.Type) {
	var s strings.Builder
	for {
		switch {
		case t.Kind() == reflect.Struct && fieldAt(t, off) >= 0:
			f := t.Field(fieldAt(t, off))
			s.WriteString("." + f.Name)
			t, off = f.Type, off-f.Offset
		case t.Kind() == reflect.Array && t.Elem().Size() > 0:
			s.WriteString("[" + strconv.Itoa(int(off/t.Elem().Size())) + "]")
			t, off = t.Elem(), off%t.Elem().Size()
		default:
			return s.String(), t
		}
	}
}

package codec

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"
)

// registered is something that every process has its own of.
type registered struct {
	name string
	plan *plan                          // of what the pointer leads to
	base unsafe.Pointer                 // nil if it is made at first use
	make func() (unsafe.Pointer, error) // may be called at any time; makes it once
}

// registrations are all of them. They are few, and are looked at for every pointer that is sent.
type registrations struct {
	mu  sync.Mutex                    // held by those who add
	all atomic.Pointer[[]*registered] // replaced, never changed
}

var registry = sync.OnceValue(func() *registrations { return new(registrations) })

func (r *registrations) list() []*registered {
	if all := r.all.Load(); all != nil {
		return *all
	}
	return nil
}

// Name is a declared name and the type of its pointer.
type Name struct{ Name, Type string }

// Register declares that v, a pointer, is something that every process has its own of: a pointer to it or into it
// crosses as its name. v may also be a func() (*T, error), which the receiving side runs when it first needs the
// thing; then every pointer to a T that is sent means it.
func Register(name string, v any) error {
	own, err := newRegistered(name, v)
	if err != nil {
		return err
	}
	r := registry()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, other := range r.list() {
		if other.name == name {
			return fmt.Errorf("declare %q: the name is taken, by a *%v", name, other.plan.typ)
		}
		if own.overlaps(other) {
			return fmt.Errorf("declare %q: its memory is declared already, as %q", name, other.name)
		}
	}
	all := append(slices.Clone(r.list()), own)
	r.all.Store(&all)
	return nil
}

// Unregister takes a declaration back.
func Unregister(name string) {
	r := registry()
	r.mu.Lock()
	defer r.mu.Unlock()
	all := slices.DeleteFunc(slices.Clone(r.list()), func(own *registered) bool { return own.name == name })
	r.all.Store(&all)
}

func newRegistered(name string, v any) (*registered, error) {
	t := reflect.TypeOf(v)
	switch {
	case name == "":
		return nil, errors.New("declare something per process: it needs a name")
	case t == nil:
		return nil, fmt.Errorf("declare %q: it is nil: pass a pointer or a func() (*T, error)", name)
	case t.Kind() == reflect.Pointer && !reflect.ValueOf(v).IsNil():
		return &registered{name: name, plan: planOf(t.Elem()), base: reflect.ValueOf(v).UnsafePointer()}, nil
	case t.Kind() == reflect.Func && isMaker(t) && !reflect.ValueOf(v).IsNil():
		return &registered{name: name, plan: planOf(t.Out(0).Elem()), make: onceMade(func() (unsafe.Pointer, error) {
			return runMaker(name, reflect.ValueOf(v))
		})}, nil
	}
	return nil, fmt.Errorf("declare %q: a %v, or nil: pass a pointer or a func() (*T, error)", name, t)
}

func isMaker(t reflect.Type) bool {
	return t.NumIn() == 0 && t.NumOut() == 2 && t.Out(0).Kind() == reflect.Pointer && t.Out(1) == errorType
}

// onceMade runs a maker until it has succeeded, one run at a time, and then never again.
func onceMade(run func() (unsafe.Pointer, error)) func() (unsafe.Pointer, error) {
	var mu sync.Mutex
	var made unsafe.Pointer
	return func() (unsafe.Pointer, error) {
		mu.Lock()
		defer mu.Unlock()
		if made != nil {
			return made, nil
		}
		thing, err := run()
		made = thing
		return thing, err
	}
}

func runMaker(name string, f reflect.Value) (unsafe.Pointer, error) {
	out := f.Call(nil)
	if err, _ := out[1].Interface().(error); err != nil {
		return nil, fmt.Errorf("make %q: %w", name, err)
	}
	if out[0].IsNil() {
		return nil, fmt.Errorf("make %q: its function returned nil and no error", name)
	}
	return out[0].UnsafePointer(), nil
}

func (r *registered) overlaps(o *registered) bool {
	if r.base == nil || o.base == nil {
		return false
	}
	a, b := uintptr(r.base), uintptr(o.base)
	return a < b+max(o.plan.size, 1) && b < a+max(r.plan.size, 1)
}

// start returns where the thing begins that a pointer leads to or into.
func (r *registered) start(to unsafe.Pointer) unsafe.Pointer {
	if r.base != nil {
		return r.base
	}
	return to
}

// around returns what is declared around an address; nil if nothing is.
func (r *registrations) around(at unsafe.Pointer) *registered { return r.find(at, nil) }

// room says how many bytes there are from an address in a declared thing to its end.
func (r *registered) room(at unsafe.Pointer) uintptr {
	return r.plan.size - (uintptr(at) - uintptr(r.start(at)))
}

// find returns what is declared at an address, or for pointers of a type that is made at first use; nil if nothing is.
func (r *registrations) find(to unsafe.Pointer, t reflect.Type) *registered {
	for _, own := range r.list() {
		if own.base == nil {
			if own.plan.typ == t {
				return own
			}
			continue
		}
		if off := uintptr(to) - uintptr(own.base); off < own.plan.size || to == own.base {
			return own
		}
	}
	return nil
}

// has says whether something of a type is declared.
func (r *registrations) has(t reflect.Type) bool {
	return slices.ContainsFunc(r.list(), func(own *registered) bool { return own.plan.typ == t })
}

// Names returns what is declared, sorted by name.
func Names() []Name {
	var names []Name
	for _, own := range registry().list() {
		names = append(names, Name{own.name, "*" + own.plan.typ.String()})
	}
	slices.SortFunc(names, func(a, b Name) int { return strings.Compare(a.Name, b.Name) })
	return names
}

// advice says why a pointer to what cannot be copied is refused, and the way out: to declare owner.
func (r *registrations) advice(to unsafe.Pointer, p *plan, owner reflect.Type) string {
	for _, own := range r.list() {
		if f := own.fieldWith(to); f != "" {
			return fmt.Sprintf("it is %s.%s: capture %s instead, or declare it: flame.PerProcess(%q, %s)", own.name, f, own.name, f, f)
		}
	}
	if !p.refused.shared {
		return p.refused.reason
	}
	if isLock(owner) {
		return wayShared
	}
	name := strings.ToLower(owner.Name())
	if name == "" {
		name = "it"
	}
	what := ""
	if owner != p.typ {
		what = fmt.Sprintf(" for the *%v", owner)
	}
	return fmt.Sprintf("it has %s %v, so goroutines of this process share it: if every process has its own, declare that in main%s: flame.PerProcess(%q, %s)",
		article(p.refused.typ.String()), p.refused.typ, what, name, name[:1])
}

// article returns the one that goes before a word.
func article(word string) string {
	if strings.ContainsAny(word[:1], "aeiou") {
		return "an"
	}
	return "a"
}

// fieldWith returns the name of the field of a declared struct that holds a pointer.
func (r *registered) fieldWith(to unsafe.Pointer) string {
	if r.base == nil || r.plan.typ.Kind() != reflect.Struct {
		return ""
	}
	for i := range r.plan.typ.NumField() {
		f := r.plan.typ.Field(i)
		if f.Type.Kind() == reflect.Pointer && *word(unsafe.Add(r.base, f.Offset)) == to {
			return f.Name
		}
	}
	return ""
}

// own reads an object that this process has its own of.
func (d *decoder) own() (o object) {
	name := string(d.bytes(d.uint()))
	for _, own := range registry().list() {
		if own.name != name || d.err != nil {
			continue
		}
		o = object{base: own.base, plan: own.plan, n: 1, kind: kindOwn}
		if own.base == nil {
			base, err := own.make()
			if err != nil {
				d.fail("%w", err)
			}
			o.base = base
		}
		return o
	}
	d.fail("%q is not declared in this process: call flame.PerProcess(%q, …) in main before ServeIfRunner", name, name)
	return o
}

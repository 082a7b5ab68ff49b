package image

import (
	"fmt"
	"reflect"
	"runtime"
	"sync"
	"unsafe"
)

// Closure describes a func value: its code and the variables it captured.
type Closure struct {
	Name   string // for people; names do not identify
	File   string
	Line   int
	Entry  uint64       // offset of the code
	Static bool         // it captured nothing and lies in read-only data, where it can be found again
	Type   reflect.Type // the compiler's struct { F uintptr; X0 …; X1 … }, for allocation; nil if Static
	Fields []Field      // the captured variables; empty if Static

	shapes bool // some of Fields have shapes for types
}

// Field is one captured variable, or a pointer to it if it was captured by reference.
type Field struct {
	Offset uintptr
	Type   reflect.Type // never one of the compiler's shapes
	Dict   bool         // not a variable but the dictionary of a generic function, in read-only data
}

// RefusalError says why the layout of a closure is not known, and what to do.
type RefusalError struct {
	Func, File string
	Line       int
	Reason     string
}

// Error returns one line.
func (e *RefusalError) Error() string {
	return fmt.Sprintf("func %s (%s:%d): %s", e.Func, e.File, e.Line, e.Reason)
}

// closureKey is what the layout of a closure depends on.
type closureKey struct {
	code uintptr // the entry PC, or where the funcval is if that is in read-only data
	dict uintptr // of generic code; 0 otherwise
}

// noDictionary is the key of generic code without a dictionary, which is refused. It is not 0, so that it never finds
// the layout with the shapes still in it.
const noDictionary = 1

type closureResult struct {
	c   *Closure
	err error
}

// Closure describes the func value whose word is fv, which is not nil. An error is a *RefusalError or says that
// this program's closures cannot be read at all. It may be called by several goroutines at once.
func (im *Image) Closure(fv unsafe.Pointer) (*Closure, error) {
	entry := *(*uintptr)(fv) // every funcval begins with its entry PC
	key := closureKey{code: entry}
	_, region := im.Locate(uintptr(fv))
	if region == ReadOnly {
		key.code = uintptr(fv)
	}
	if r, ok := im.closure.Load(key); ok {
		r := r.(closureResult)
		if r.c == nil || r.c.Static || !r.c.shapes {
			return r.c, r.err
		}
		key.dict = max(r.c.dictionary(fv), noDictionary)
		if r, ok := im.closure.Load(key); ok {
			r := r.(closureResult)
			return r.c, r.err
		}
		c, err := im.resolve(r.c, key.dict)
		im.closure.Store(key, closureResult{c, err})
		return c, err
	}
	if err := im.proven(); err != nil {
		return nil, err
	}
	c, err := im.describe(entry, region == ReadOnly)
	r, known := im.closure.LoadOrStore(key, closureResult{c, err})
	if known {
		return im.Closure(fv)
	}
	if err == nil && !c.Static {
		im.confirm(key, c)
	}
	if err != nil || c.Static || !c.shapes {
		return r.(closureResult).c, err
	}
	return im.Closure(fv)
}

// describe finds the layout of func values by their entry PC, shapes and all.
func (im *Image) describe(entry uintptr, static bool) (*Closure, error) {
	c := new(Closure)
	f := runtime.FuncForPC(entry)
	if f != nil && f.Entry() == entry && im.region(entry) != Text {
		c.Name, c.File, c.Line = source(entry)
		return nil, c.refuse("its code lies in a plugin, which a runner does not have: move it into the program itself")
	}
	if f == nil || f.Entry() != entry {
		return nil, &RefusalError{Func: "?", Reason: "its code is not a Go function of this executable (a plugin?, cgo?, memory changed by unsafe?)"}
	}
	c.Entry, _ = im.Locate(entry)
	c.Name, c.File, c.Line = source(entry)
	if static {
		c.Static = true
		return c, nil
	}
	desc, err := im.bind(entry)
	if err != nil {
		return nil, c.refuse(err.Error())
	}
	if !im.maybeDescriptor(desc) {
		return nil, c.refuse(errNoMaker.Error())
	}
	c.Type = typeOf(at(desc))
	for i := 1; i < c.Type.NumField(); i++ {
		f := c.Type.Field(i)
		c.Fields = append(c.Fields, Field{Offset: f.Offset, Type: f.Type})
	}
	if hasShape(c.Type) {
		c.markDictionary()
		c.shapes = c.generic()
	}
	return c, nil
}

// source returns the name and the place of the function at entry, not of what may be inlined there.
func source(entry uintptr) (name, file string, line int) {
	frames := runtime.CallersFrames([]uintptr{entry + 1})
	for {
		frame, more := frames.Next()
		if !more {
			return frame.Function, frame.File, frame.Line
		}
	}
}

func (c *Closure) refuse(reason string) error {
	return &RefusalError{Func: c.Name, File: c.File, Line: c.Line, Reason: reason}
}

// generic says whether c describes the closures of generic code for all dictionaries.
func (c *Closure) generic() bool {
	for _, f := range c.Fields {
		if hasShape(f.Type) {
			return true
		}
	}
	return false
}

// markDictionary finds the field that holds the dictionary: the last one of type *[N]uintptr.
func (c *Closure) markDictionary() {
	for i := len(c.Fields) - 1; i >= 0; i-- {
		if isDictionary(c.Fields[i].Type) {
			c.Fields[i].Dict = true
			return
		}
	}
}

func isDictionary(t reflect.Type) bool {
	return t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Array && t.Elem().Elem().Kind() == reflect.Uintptr &&
		t.Name() == "" && t.Elem().Name() == "" && t.Elem().Elem().PkgPath() == ""
}

// dictionary reads the dictionary's address from a closure.
func (c *Closure) dictionary(fv unsafe.Pointer) uintptr {
	for _, f := range c.Fields {
		if f.Dict {
			return *(*uintptr)(unsafe.Add(fv, f.Offset)) // inside the object, by its compiler's layout
		}
	}
	return 0
}

// StaticFunc returns the func value that captured nothing whose funcval is at an offset.
func (im *Image) StaticFunc(off uint64) (unsafe.Pointer, error) {
	addr := im.base + uintptr(off)
	if addr%unsafe.Alignof(addr) == 0 && im.within(addr, unsafe.Sizeof(addr)) == ReadOnly {
		entry := word(addr)
		if _, r := im.Locate(entry); r == Text {
			if f := runtime.FuncForPC(entry); f != nil && f.Entry() == entry {
				return at(addr), nil
			}
		}
	}
	return nil, fmt.Errorf("there is no function at offset %#x of the executable", off)
}

// binder finds the descriptors of closures in the machine code.
type binder struct {
	selfTest sync.Once
	broken   error // the self-test's verdict

	checks  sync.Map // closure's code -> *sync.WaitGroup: the confirmation of what was found nearby
	tracked sync.Map // entry of a function -> []binding: what track found in it

	indexed sync.Once
	loads   map[uintptr][]uintptr // code address -> where the code loads it
}

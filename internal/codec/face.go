package codec

import (
	"reflect"
	"sync"
	"unsafe"
)

var errorType = reflect.TypeFor[error]()

// tab is the first word of an interface of one type that holds a value of one type; nil if it cannot.
type tab struct{ inter, word unsafe.Pointer }

// dynamics keeps what first words mean: the plan of what the interface holds.
var dynamics = sync.OnceValue(newFound[unsafe.Pointer, *plan])

// dynamic returns the plan of what the interface at an address holds, which is not nil.
func dynamic(o *op, at unsafe.Pointer) *plan {
	w := words(at)[0]
	if p, ok := dynamics().known()[w]; ok {
		return p
	}
	p := planOf(reflect.NewAt(o.typ, at).Elem().Elem().Type())
	if p.inImage { // other types may be collected, and their words come to mean something else
		dynamics().keep(w, p)
	}
	return p
}

// tabFor returns the first word for interfaces of type t that hold a value of p's type; nil if it does not implement t.
func (p *plan) tabFor(t reflect.Type) unsafe.Pointer {
	inter := descriptorOf(t)
	if last := p.lastTab.Load(); last != nil && last.inter == inter {
		return last.word
	}
	made := &tab{inter: inter}
	if p.typ.Kind() != reflect.Interface && p.typ.Implements(t) {
		v := reflect.New(t)
		v.Elem().Set(reflect.Zero(p.typ))
		made.word = words(v.UnsafePointer())[0]
	}
	p.lastTab.Store(made)
	return made.word
}

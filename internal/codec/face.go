package codec

import (
	"reflect"
	"sync"
	"unsafe"
)

var errorType = reflect.TypeFor[error]()

// tab is the first word of an interface of one type that holds a value of one type.
type tab struct{ word unsafe.Pointer }

// dynamics keeps what first words mean: the word -> *plan of what the interface holds.
var dynamics sync.Map

// dynamic returns the plan of what the interface at an address holds, which is not nil.
func dynamic(o *op, at unsafe.Pointer) *plan {
	w := words(at)[0]
	if p, ok := dynamics.Load(w); ok {
		return p.(*plan)
	}
	p := planOf(reflect.NewAt(o.typ, at).Elem().Elem().Type())
	if p.inImage { // other types may be collected, and their words come to mean something else
		dynamics.Store(w, p)
	}
	return p
}

// tabFor returns the first word for interfaces of type t that hold a value of p's type; nil if it does not implement t.
func (p *plan) tabFor(t reflect.Type) *tab {
	key := descriptorOf(t)
	if made, ok := p.tabs.Load(key); ok {
		return made.(*tab)
	}
	var made *tab
	if p.typ.Kind() != reflect.Interface && p.typ.Implements(t) {
		v := reflect.New(t)
		v.Elem().Set(reflect.Zero(p.typ))
		made = &tab{words(v.UnsafePointer())[0]}
	}
	p.tabs.Store(key, made)
	return made
}

package codec

import (
	"fmt"
	"reflect"
	"sync"
	"unsafe"
)

// mapping says how maps of one type are taken apart and put together.
type mapping struct {
	key, elem *link
	typed     *typedMap // the fast way, for common types; nil otherwise
	unused    sync.Pool // *entries of plain variables, which nothing else can lead to
}

// entries are the keys and elements of a map, in two rows.
type entries struct {
	keys, elems unsafe.Pointer
	n           int
}

// room returns place for n entries.
func (k *mapping) room(n int) *entries {
	if en, ok := k.unused.Get().(*entries); ok && en.n >= n {
		en.n = n
		return en
	}
	return &entries{keys: k.key.get().allocate(n), elems: k.elem.get().allocate(n), n: n}
}

// done has the place of entries used again, if they are plain.
func (k *mapping) done(en *entries) {
	key, elem := k.key.get(), k.elem.get()
	if !key.plain() || !elem.plain() || en.n > kept {
		return
	}
	key.forget(en.keys, en.n)
	elem.forget(en.elems, en.n)
	k.unused.Put(en)
}

// plain says whether a variable leads to nothing but text.
func (p *plan) plain() bool { return p.text || p.flat }

// forget lets go of the text that n plain variables in a row lead to.
func (p *plan) forget(base unsafe.Pointer, n int) {
	if p.text {
		clear(unsafe.Slice((*string)(base), n)) // variables of a type that is a string
	}
}

// make returns an empty map with room for n entries.
func (k *mapping) make(p *plan, n int) unsafe.Pointer {
	return reflect.MakeMapWithSize(p.typ, n).UnsafePointer()
}

// read copies the entries of the map m.
func (k *mapping) read(p *plan, m unsafe.Pointer) *entries {
	v := reflect.NewAt(p.typ, unsafe.Pointer(&m)).Elem()
	en := k.room(v.Len())
	if k.typed != nil {
		en.n = k.typed.read(m, en)
		return en
	}
	key, elem := k.key.get(), k.elem.get()
	n := 0
	for it := v.MapRange(); n < en.n && it.Next(); n++ {
		valueAt(key, unsafe.Add(en.keys, uintptr(n)*key.size)).SetIterKey(it)
		valueAt(elem, unsafe.Add(en.elems, uintptr(n)*elem.size)).SetIterValue(it)
	}
	en.n = n
	return en
}

// fill puts entries into the map m. It fails for keys that cannot be compared.
func (k *mapping) fill(p *plan, m unsafe.Pointer, en *entries) (err error) {
	if k.typed != nil {
		k.typed.fill(m, en)
		return nil
	}
	v := reflect.NewAt(p.typ, unsafe.Pointer(&m)).Elem()
	key, elem := k.key.get(), k.elem.get()
	for i := range en.n {
		at := valueAt(key, unsafe.Add(en.keys, uintptr(i)*key.size))
		if !at.Comparable() {
			return fmt.Errorf("a key of a %v cannot be compared", p.typ)
		}
		v.SetMapIndex(at, valueAt(elem, unsafe.Add(en.elems, uintptr(i)*elem.size)))
	}
	return nil
}

// typedMap does read and fill for maps of one key and one element type. Maps of named types with these keys and
// elements have the same memory and the same hash function.
type typedMap struct {
	read func(m unsafe.Pointer, en *entries) int
	fill func(m unsafe.Pointer, en *entries)
}

// typedMaps has the common types of maps, by key and element.
var typedMaps = map[[2]reflect.Type]*typedMap{
	{reflect.TypeFor[string](), reflect.TypeFor[string]()}:   {readMap[string, string], fillMap[string, string]},
	{reflect.TypeFor[string](), reflect.TypeFor[int]()}:      {readMap[string, int], fillMap[string, int]},
	{reflect.TypeFor[string](), reflect.TypeFor[int64]()}:    {readMap[string, int64], fillMap[string, int64]},
	{reflect.TypeFor[string](), reflect.TypeFor[float64]()}:  {readMap[string, float64], fillMap[string, float64]},
	{reflect.TypeFor[string](), reflect.TypeFor[bool]()}:     {readMap[string, bool], fillMap[string, bool]},
	{reflect.TypeFor[string](), reflect.TypeFor[any]()}:      {readMap[string, any], fillMap[string, any]},
	{reflect.TypeFor[string](), reflect.TypeFor[struct{}]()}: {readMap[string, struct{}], fillMap[string, struct{}]},
	{reflect.TypeFor[string](), reflect.TypeFor[[]string]()}: {readMap[string, []string], fillMap[string, []string]},
	{reflect.TypeFor[string](), reflect.TypeFor[[]byte]()}:   {readMap[string, []byte], fillMap[string, []byte]},
	{reflect.TypeFor[int](), reflect.TypeFor[int]()}:         {readMap[int, int], fillMap[int, int]},
	{reflect.TypeFor[int](), reflect.TypeFor[string]()}:      {readMap[int, string], fillMap[int, string]},
	{reflect.TypeFor[int](), reflect.TypeFor[bool]()}:        {readMap[int, bool], fillMap[int, bool]},
	{reflect.TypeFor[int](), reflect.TypeFor[float64]()}:     {readMap[int, float64], fillMap[int, float64]},
	{reflect.TypeFor[int](), reflect.TypeFor[struct{}]()}:    {readMap[int, struct{}], fillMap[int, struct{}]},
	{reflect.TypeFor[int](), reflect.TypeFor[any]()}:         {readMap[int, any], fillMap[int, any]},
}

// readMap copies entries. m is the word of a map[K]V, and en has room in rows of K and of V.
func readMap[K comparable, V any](m unsafe.Pointer, en *entries) int {
	keys, elems := unsafe.Slice((*K)(en.keys), en.n), unsafe.Slice((*V)(en.elems), en.n)
	n := 0
	for k, v := range *(*map[K]V)(unsafe.Pointer(&m)) {
		if n == en.n {
			break
		}
		keys[n], elems[n] = k, v
		n++
	}
	return n
}

func fillMap[K comparable, V any](m unsafe.Pointer, en *entries) {
	keys, elems := unsafe.Slice((*K)(en.keys), en.n), unsafe.Slice((*V)(en.elems), en.n)
	into := *(*map[K]V)(unsafe.Pointer(&m))
	for i, k := range keys {
		into[k] = elems[i]
	}
}

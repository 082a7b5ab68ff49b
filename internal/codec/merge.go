package codec

import (
	"cmp"
	"reflect"
	"slices"
)

// merge makes one object of regions that overlap: pointers into a struct and the struct, slices of one array. It
// numbers the objects in the order in which they were reached.
func (e *encoder) merge() {
	e.order = e.order[:0]
	for i := range e.regions {
		r := &e.regions[i]
		r.leader, r.whole, r.n = int32(i), r.plan, r.count
		if r.kind <= kindMany && r.size() > 0 {
			e.order = append(e.order, int32(i))
		}
	}
	e.sort()
	last := int32(-1)
	for _, i := range e.order {
		switch {
		case last < 0 || !e.touches(last, i):
			last = i
		case e.join(last, i):
			e.regions[i].leader = last
		default:
			e.err = e.sendError(e.regions[i].from, e.regions[i].where, e.regions[i].plan,
				"it overlaps other captured memory of type "+e.regions[last].plan.typ.String()+
					" in a way that only package unsafe can make: capture one of them")
			return
		}
	}
	n := int32(0)
	for i := range e.regions {
		if e.regions[i].leader == int32(i) {
			e.regions[i].object = n
			n++
		}
	}
}

// sort orders the regions by address, those that may contain others first.
func (e *encoder) sort() {
	before := func(i, j int32) int {
		a, b := &e.regions[i], &e.regions[j]
		if c := cmp.Compare(uintptr(a.addr), uintptr(b.addr)); c != 0 {
			return c
		}
		return cmp.Compare(b.size(), a.size())
	}
	if len(e.order) > few {
		slices.SortFunc(e.order, before)
		return
	}
	for i := 1; i < len(e.order); i++ {
		for j := i; j > 0 && before(e.order[j], e.order[j-1]) < 0; j-- {
			e.order[j], e.order[j-1] = e.order[j-1], e.order[j]
		}
	}
}

// touches says whether region i, which does not begin before object o, overlaps it or goes on where it ends
// within its capacity.
func (e *encoder) touches(o, i int32) bool {
	a, b := &e.regions[o], &e.regions[i]
	off := uintptr(b.addr) - uintptr(a.addr)
	end := a.whole.size * uintptr(a.n)
	return off < end || off == end && a.whole == b.plan && off < a.whole.size*uintptr(a.reach)
}

// join takes region i into object o; false if their types cannot share memory.
func (e *encoder) join(o, i int32) bool {
	a, b := &e.regions[o], &e.regions[i]
	off := uintptr(b.addr) - uintptr(a.addr)
	if holds(a.whole.typ, a.n, off, b.plan.typ, b.count) {
		if a.whole == b.plan {
			a.reach = max(a.reach, int(off/a.whole.size)+b.reach)
		}
		return true
	}
	if off == 0 && holds(b.plan.typ, b.count, 0, a.whole.typ, a.n) {
		a.whole, a.n, a.reach = b.plan, b.count, b.reach
		return true
	}
	pa, na, reach := elements(a.whole, a.n, a.reach)
	pb, nb, further := elements(b.plan, b.count, b.reach)
	if pa != pb || off%pa.size != 0 {
		return false
	}
	first := int(off / pa.size)
	a.whole, a.n, a.reach = pa, max(na, first+nb), max(reach, first+further)
	return true
}

// elements takes arrays apart: one [4]T is four T in a row.
func elements(p *plan, n, reach int) (*plan, int, int) {
	for p.typ.Kind() == reflect.Array {
		n, reach = n*p.typ.Len(), reach*p.typ.Len()
		p = planOf(p.typ.Elem())
	}
	return p, n, reach
}

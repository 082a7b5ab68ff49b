package codec

import (
	"reflect"
	"slices"
)

// merge makes one object of regions that overlap: pointers into a struct and the struct, slices of one array.
func (e *encoder) merge() {
	prevalent := e.prevalent()
	e.spots(prevalent)
	if prevalent != nil && !e.apart(prevalent) {
		e.spots(nil)
	}
	e.sort()
	last := int32(-1)
	for _, at := range e.order {
		i := at.region
		switch {
		case last < 0 || !e.touches(last, i):
			last = i
		case e.join(last, i):
			e.regions[i].leader = last
		default:
			e.err = e.sendError(e.regions[i].from, e.place(e.regions[i].from, e.regions[i].at), e.regions[i].plan,
				"it overlaps other captured memory of type "+e.regions[last].plan.typ.String()+
					" in a way that only package unsafe can make: capture one of them")
			return
		}
	}
	e.number()
}

// number gives numbers to the objects, in the order in which they were reached, and to their types and layouts.
func (e *encoder) number() {
	for i := range e.regions {
		r := &e.regions[i]
		if r.leader != int32(i) {
			continue
		}
		r.object = e.objects
		e.objects++
		switch {
		case r.kind <= kindMany:
			e.typeID(r.made())
		case r.kind == kindClosure && e.layoutID(r.whole) == len(e.layouts):
			e.layouts = append(e.layouts, r.whole)
		}
	}
}

// prevalent returns the plan of most regions, if there are many and variables with that plan cannot overlap one another: no
// type contains itself, but slices of one array may be turned into pointers to arrays that overlap.
func (e *encoder) prevalent() *plan {
	if len(e.regions) <= 4*few {
		return nil
	}
	var most *plan
	lead := 0
	for i := range e.regions {
		switch p := e.regions[i].plan; {
		case p == most:
			lead++
		case lead == 0:
			most, lead = p, 1
		default:
			lead--
		}
	}
	if most.typ.Kind() == reflect.Array {
		return nil
	}
	return most
}

// spots notes where regions lie that may overlap others, but not single variables with the plan except.
func (e *encoder) spots(except *plan) {
	e.order = e.order[:0]
	for i := range e.regions {
		r := &e.regions[i]
		if r.kind <= kindMany && r.size() > 0 && (r.kind != kindOne || r.plan != except) {
			e.order = append(e.order, spot{uintptr(r.addr), r.size(), int32(i)})
		}
	}
}

// apart says whether single variables with the plan p overlap none of the few other regions, nor what slices among
// those have room for.
func (e *encoder) apart(p *plan) bool {
	if len(e.order) > few {
		return false
	}
	for i := range e.regions {
		if r := &e.regions[i]; r.kind != kindOne || r.plan != p {
			continue
		}
		at := uintptr(e.regions[i].addr)
		for _, other := range e.order {
			room := e.regions[other.region].plan.size * uintptr(e.regions[other.region].reach)
			if at-other.addr < max(room, other.size) || other.addr-at < p.size {
				return false
			}
		}
	}
	return true
}

// spot is where a region lies.
type spot struct {
	addr, size uintptr
	region     int32
}

// digits is how many bits of an address one round of sort looks at.
const digits = 11

// sort orders the regions by address, those that may contain others first. It deals many out by digits, lowest first,
// and leaves to neighbours what is the same address.
func (e *encoder) sort() {
	if len(e.order) > 4*few {
		low, high := ^uintptr(0), uintptr(0)
		for _, at := range e.order {
			low, high = min(low, at.addr), max(high, at.addr)
		}
		for shift := 0; (high-low)>>shift > 0; shift += digits {
			e.deal(low, shift)
		}
	}
	for i := 1; i < len(e.order); i++ {
		for j := i; j > 0 && e.order[j].before(e.order[j-1]); j-- {
			e.order[j], e.order[j-1] = e.order[j-1], e.order[j]
		}
	}
}

func (a spot) before(b spot) bool {
	return a.addr < b.addr || a.addr == b.addr && a.size > b.size
}

// deal orders the regions by one digit and leaves those with the same digit in their order.
func (e *encoder) deal(low uintptr, shift int) {
	var starts [1 << digits]int32
	digit := func(at spot) uintptr { return (at.addr - low) >> shift & (1<<digits - 1) }
	for _, at := range e.order {
		starts[digit(at)]++
	}
	sum := int32(0)
	for i, n := range starts {
		starts[i], sum = sum, sum+n
	}
	e.dealt = slices.Grow(e.dealt[:0], len(e.order))[:len(e.order)]
	for _, at := range e.order {
		d := digit(at)
		e.dealt[starts[d]] = at
		starts[d]++
	}
	e.order, e.dealt = e.dealt, e.order
}

// touches says whether region i, which does not begin before object o, overlaps it or goes on where it ends
// within its capacity.
func (e *encoder) touches(o, i int32) bool {
	a, b := &e.regions[o], &e.regions[i]
	off := uintptr(b.addr) - uintptr(a.addr)
	p := a.made()
	end := p.size * uintptr(a.count)
	return off < end || off == end && p == b.plan && off < p.size*uintptr(a.reach)
}

// join takes region i into object o; false if their types cannot share memory.
func (e *encoder) join(o, i int32) bool {
	a, b := &e.regions[o], &e.regions[i]
	off, p := uintptr(b.addr)-uintptr(a.addr), a.made()
	if holds(p.typ, a.count, off, b.plan.typ, b.count) {
		if p == b.plan {
			a.reach = max(a.reach, int(off/p.size)+b.reach)
		}
		return true
	}
	if off == 0 && holds(b.plan.typ, b.count, 0, p.typ, a.count) {
		a.whole, a.count, a.reach = b.plan, b.count, b.reach
		return true
	}
	pa, na, reach := elements(p, a.count, a.reach)
	pb, nb, further := elements(b.plan, b.count, b.reach)
	if pa != pb || off%pa.size != 0 {
		return false
	}
	first := int(off / pa.size)
	a.whole, a.count, a.reach = pa, max(na, first+nb), max(reach, first+further)
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

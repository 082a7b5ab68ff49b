package codec

import "unsafe"

// few is up to how many regions are looked for one by one.
const few = 8

// index finds regions by address and plan, once they are more than a few.
type index struct {
	slots []int32 // region number + 1, or 0; a power of two of them, at most half full
	used  int
	free  uint64 // where the last search ended: the place for what was not found
}

func (x *index) reset() {
	if x.used > 0 {
		clear(x.slots)
		x.used = 0
	}
}

func (x *index) slot(addr unsafe.Pointer, p *plan) uint64 {
	h := uint64(uintptr(addr)) ^ uint64(uintptr(unsafe.Pointer(p)))<<17
	return h * 0x9e3779b97f4a7c15 >> 32
}

// find returns the number of the region at an address, or -1.
func (e *encoder) find(addr unsafe.Pointer, p *plan) int32 {
	if len(e.regions) <= few {
		for i := range e.regions {
			if e.regions[i].addr == addr && e.regions[i].plan == p {
				return int32(i)
			}
		}
		return -1
	}
	mask := uint64(len(e.index.slots) - 1)
	for at := e.index.slot(addr, p) & mask; ; at = (at + 1) & mask {
		i := e.index.slots[at] - 1
		if i < 0 {
			e.index.free = at
			return i
		}
		if e.regions[i].addr == addr && e.regions[i].plan == p {
			return i
		}
	}
}

// add enters region i, the last one, which find has just not found.
func (x *index) add(regions []region, i int32) {
	switch {
	case len(regions) <= few:
		return
	case x.used == 0:
		if len(x.slots) == 0 {
			x.slots = make([]int32, 64)
		}
		for j := range i {
			x.put(regions, j)
		}
	case 2*(x.used+1) > len(x.slots):
		x.slots = make([]int32, 4*len(x.slots))
		x.used = 0
		for j := range i {
			x.put(regions, j)
		}
	default:
		x.slots[x.free] = i + 1
		x.used++
		return
	}
	x.put(regions, i)
}

func (x *index) put(regions []region, i int32) {
	mask := uint64(len(x.slots) - 1)
	at := x.slot(regions[i].addr, regions[i].plan) & mask
	for x.slots[at] != 0 {
		at = (at + 1) & mask
	}
	x.slots[at] = i + 1
	x.used++
}

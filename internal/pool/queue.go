package pool

import (
	"container/heap"
	"math/bits"
)

// line is the calls without a slot, in the order in which they get one.
type line struct {
	first, last *Call
	n           int
}

func (l *line) push(c *Call) {
	c.phase, c.prev, c.next = waiting, l.last, nil
	if l.last == nil {
		l.first = c
	} else {
		l.last.next = c
	}
	l.last = c
	l.n++
}

// back puts a call that had been in line before to its old place.
func (l *line) back(c *Call) {
	next := l.first
	for next != nil && next.number < c.number {
		next = next.next
	}
	if next == nil {
		l.push(c)
		return
	}
	c.phase, c.prev, c.next = waiting, next.prev, next
	if next.prev == nil {
		l.first = c
	} else {
		next.prev.next = c
	}
	next.prev = c
	l.n++
}

func (l *line) pop() *Call {
	c := l.first
	l.remove(c)
	return c
}

func (l *line) remove(c *Call) {
	if c.prev == nil {
		l.first = c.next
	} else {
		c.prev.next = c.next
	}
	if c.next == nil {
		l.last = c.prev
	} else {
		c.next.prev = c.prev
	}
	c.prev, c.next = nil, nil
	l.n--
}

// ring is runners of one load: the one that came last is first.
type ring struct{ first, last *runner }

func (g *ring) push(r *runner) {
	r.prev, r.next = nil, g.first
	if g.first == nil {
		g.last = r
	} else {
		g.first.prev = r
	}
	g.first = r
}

func (g *ring) remove(r *runner) {
	if r.prev == nil {
		g.first = r.next
	} else {
		r.prev.next = r.next
	}
	if r.next == nil {
		g.last = r.prev
	} else {
		r.next.prev = r.prev
	}
	r.prev, r.next = nil, nil
}

// rings is the ready runners with a free slot, by load. A runner without one may be added and removed; nothing happens.
type rings struct {
	byLoad []ring
	some   []uint64 // a bit for each ring that has a runner
}

func newRings(slots int) rings {
	return rings{make([]ring, slots), make([]uint64, (slots+63)/64)}
}

func (g *rings) add(r *runner) {
	if r.load < len(g.byLoad) {
		g.byLoad[r.load].push(r)
		g.some[r.load/64] |= 1 << (r.load % 64)
	}
}

func (g *rings) remove(r *runner) {
	if r.load == len(g.byLoad) {
		return
	}
	if g.byLoad[r.load].remove(r); g.byLoad[r.load].first == nil {
		g.some[r.load/64] &^= 1 << (r.load % 64)
	}
}

// leastLoaded returns the one with the fewest calls that had its last one most recently, or nil.
func (g *rings) leastLoaded() *runner {
	for i, loads := range g.some {
		if loads != 0 {
			return g.byLoad[i*64+bits.TrailingZeros64(loads)].first
		}
	}
	return nil
}

// longestIdle returns the one that has been without calls for the longest time, or nil.
func (g *rings) longestIdle() *runner { return g.byLoad[0].last }

// deadlines is the calls that have one, the next to pass first.
type deadlines struct{ calls []*Call }

func (d *deadlines) add(c *Call) {
	if c.deadline > 0 {
		heap.Push(d, c)
	}
}

func (d *deadlines) remove(c *Call) {
	if c.place > 0 {
		heap.Remove(d, c.place-1)
	}
}

func (d *deadlines) first() *Call {
	if len(d.calls) == 0 {
		return nil
	}
	return d.calls[0]
}

// The methods of heap.Interface. A call's place is its index, one higher, so that 0 is nowhere.

func (d *deadlines) Len() int           { return len(d.calls) }
func (d *deadlines) Less(i, j int) bool { return d.calls[i].deadline < d.calls[j].deadline }
func (d *deadlines) Swap(i, j int) {
	d.calls[i], d.calls[j] = d.calls[j], d.calls[i]
	d.calls[i].place, d.calls[j].place = i+1, j+1
}

func (d *deadlines) Push(v any) {
	c := v.(*Call)
	d.calls = append(d.calls, c)
	c.place = len(d.calls)
}

func (d *deadlines) Pop() any {
	last := len(d.calls) - 1
	c := d.calls[last]
	d.calls[last], d.calls = nil, d.calls[:last]
	c.place = 0
	return c
}

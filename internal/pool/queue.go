package pool

import "math/bits"

// lines is the calls without a slot: a line for each priority that waits, the highest first.
type lines struct {
	by    []line
	n     int   // calls
	bytes int64 // of them
}

// line is the calls of one priority, in the order in which they get a slot.
type line struct {
	priority    int
	n           int
	first, last *Call
}

// find returns where the line of a priority is, or would be. Every call asks, and with slices.BinarySearchFunc a decision takes a tenth longer.
func (l *lines) find(priority int) (at int, found bool) {
	low, high := 0, len(l.by)
	for low < high {
		mid := int(uint(low+high) / 2)
		if l.by[mid].priority > priority {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low, low < len(l.by) && l.by[low].priority == priority
}

// of returns the line of a priority, for one more call.
func (l *lines) of(c *Call) *line {
	at, found := l.find(c.Priority)
	if !found {
		l.by = append(l.by, line{})
		copy(l.by[at+1:], l.by[at:])
		l.by[at] = line{priority: c.Priority}
	}
	c.phase = waiting
	l.n++
	l.bytes += c.Size
	return &l.by[at]
}

func (l *lines) push(c *Call) { l.of(c).push(c) }

// back puts a call that had been in line before to its old place.
func (l *lines) back(c *Call) { l.of(c).back(c) }

// pop takes the next call from the line. There is one.
func (l *lines) pop() *Call {
	c := l.by[0].first
	l.removeAt(0, c)
	return c
}

func (l *lines) remove(c *Call) {
	at, _ := l.find(c.Priority)
	l.removeAt(at, c)
}

func (l *lines) removeAt(at int, c *Call) {
	l.n--
	l.bytes -= c.Size
	if l.by[at].remove(c); l.by[at].n == 0 {
		l.by = append(l.by[:at], l.by[at+1:]...)
	}
}

func (l *line) push(c *Call) {
	c.prev, c.next = l.last, nil
	if l.last == nil {
		l.first = c
	} else {
		l.last.next = c
	}
	l.last = c
	l.n++
}

func (l *line) back(c *Call) {
	next := l.first
	for next != nil && next.number < c.number {
		next = next.next
	}
	if next == nil {
		l.push(c)
		return
	}
	c.prev, c.next = next.prev, next
	if next.prev == nil {
		l.first = c
	} else {
		next.prev.next = c
	}
	next.prev = c
	l.n++
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

// ring is runners that are alike: the one that came last is first.
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

// rings is the ready runners, by load.
type rings struct {
	byLoad []ring   // those with a free slot
	full   ring     // those without
	away   ring     // those that cannot be reached, and so have none either
	some   []uint64 // a bit for each ring with a free slot that has a runner
	slots  int      // free ones, of all runners
}

func newRings(slots int) rings {
	return rings{byLoad: make([]ring, slots), some: make([]uint64, (slots+63)/64)}
}

func (g *rings) add(r *runner) {
	if r.away {
		g.away.push(r)
		return
	}
	if r.load >= len(g.byLoad) {
		g.full.push(r)
		return
	}
	g.slots += len(g.byLoad) - r.load
	g.byLoad[r.load].push(r)
	g.some[r.load/64] |= 1 << (r.load % 64)
}

func (g *rings) remove(r *runner) {
	if r.away {
		g.away.remove(r)
		return
	}
	if r.load >= len(g.byLoad) {
		g.full.remove(r)
		return
	}
	g.slots -= len(g.byLoad) - r.load
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

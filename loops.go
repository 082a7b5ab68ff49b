package flame

import "sync"

// loops are the Maps that go on in a pool. They have as much under way as it has slots, also when it is resized.
type loops struct {
	mu sync.Mutex // guards what follows, and that all of them know the same size
	by map[*mapping]struct{}
}

// begun notes that a Map goes on from now on.
func (p *Pool) begun(m *mapping) {
	p.loops.mu.Lock()
	defer p.loops.mu.Unlock()
	if p.loops.by == nil {
		p.loops.by = make(map[*mapping]struct{})
	}
	p.loops.by[m] = struct{}{}
	m.resize(p.slots())
}

// ended notes that a Map goes on no more.
func (p *Pool) ended(m *mapping) {
	p.loops.mu.Lock()
	defer p.loops.mu.Unlock()
	delete(p.loops.by, m)
}

// resized tells the Maps of the pool's new size.
func (p *Pool) resized() {
	p.loops.mu.Lock()
	defer p.loops.mu.Unlock()
	for m := range p.loops.by {
		m.resize(p.slots())
	}
}

// slots is how many calls the pool can run at a time.
func (p *Pool) slots() int { return p.pool.Stats().Max * p.config.MaxConcurrency }

// resize has so many items under way at most from now on. Those that are too many go on.
func (m *mapping) resize(slots int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.slots = min(slots, maxUnderWay)
	m.window = max(2*m.slots, leastAhead)
	m.room.Signal()
}

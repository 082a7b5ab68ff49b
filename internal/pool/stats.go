package pool

import (
	"cmp"
	"slices"
)

// Stats is what a pool has at one moment.
type Stats struct {
	Booting, Ready, Draining int // runners
	Running                  int // calls that hold a slot, cancelled ones whose function goes on among them
	Waiting                  int // calls in line
	Runners                  []RunnerStats
}

// RunnerStats is what one runner that is up, or draining, has at one moment.
type RunnerStats struct {
	ID       string
	Draining bool
	Running  int // calls that hold one of its slots
	Served   int // calls that it has answered
}

// Stats returns what the pool has now, the runners by their ids.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Stats{
		Booting: p.state.count[booting], Ready: p.state.count[ready], Draining: p.state.count[draining],
		Running: p.state.running, Waiting: p.state.line.n,
	}
	for r, l := range p.live {
		if r.stage != booting {
			s.Runners = append(s.Runners, RunnerStats{r.id, r.stage == draining, r.load, l.served})
		}
	}
	slices.SortFunc(s.Runners, func(a, b RunnerStats) int { return cmp.Compare(a.ID, b.ID) })
	return s
}

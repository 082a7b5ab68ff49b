package pool

import (
	"cmp"
	"slices"
	"time"
)

// Stats is what a pool has at one moment.
type Stats struct {
	Min, Max                 int
	Booting, Ready, Draining int // runners
	Running                  int // calls that hold a slot, cancelled ones whose function goes on among them
	Held                     int // of these, those that have returned something that is not closed
	Waiting                  int // calls in line
	WaitingBytes             int64
	Line                     []LineStats // by priority, the highest first
	Runners                  []RunnerStats
	FailedBoots              int   // in a row
	BootError                error // of the last boot that failed, even if others have come up since
	Totals
	Dropped uint64 // events that their readers were too slow for
}

// Totals is what has happened since the pool was opened.
type Totals struct {
	Boots, BootsFailed, Joined, Gone uint64 // runners; Gone are those that were draining

	Arrived, Refused uint64        // calls
	Leased, Started  uint64        // each time that a call had a slot, and was sent
	Ended            uint64        // functions that are over
	Left             uint64        // calls that had an outcome before their function was over
	Failed           uint64        // calls whose function did not run
	Lost             uint64        // calls that were lost with their runner
	Moved, Retried   uint64        // each time that a call was put back in line
	RunnerTime       time.Duration // that runners were there, booting and draining ones too
}

// LineStats is the calls of one priority that wait.
type LineStats struct {
	Priority, Waiting int
}

// RunnerStats is what one runner has at one moment.
type RunnerStats struct {
	ID      string
	Stage   string        // booting, ready or draining
	Reason  Reason        // why it takes no more calls
	Away    bool          // it cannot be reached now, and may come back
	Running int           // calls that hold one of its slots
	Held    int           // of these, those that have returned something that is not closed
	Served  int           // calls whose function it was sent and is over
	Age     time.Duration // since its boot began
	Idle    time.Duration // since it had a call, or 0 if it has one or boots
}

// Stats returns what the pool has now, the runners by their ids.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	s := p.state.stats(now)
	for r := range p.live {
		s.Runners = append(s.Runners, r.stats(now))
	}
	for _, f := range p.feeds {
		s.Dropped += f.drops()
	}
	s.Dropped += p.dropped
	slices.SortFunc(s.Runners, func(a, b RunnerStats) int { return cmp.Compare(a.ID, b.ID) })
	return s
}

// stats returns all but the runners one by one.
func (s *state) stats(now time.Duration) Stats {
	t := Stats{
		Min: s.min, Max: s.max,
		Booting: s.count[booting], Ready: s.count[ready], Draining: s.count[draining],
		Running: s.running, Held: s.held, Waiting: s.line.n, WaitingBytes: s.line.bytes,
		FailedBoots: s.demand.failed, BootError: s.demand.last, Totals: s.history.totals(),
	}
	for _, l := range s.line.by {
		t.Line = append(t.Line, LineStats{l.priority, l.n})
	}
	here := t.Booting + t.Ready + t.Draining
	t.RunnerTime = s.lived + time.Duration(here)*now - s.beganSum
	return t
}

func (h *history) totals() Totals {
	n := &h.counts
	return Totals{
		Boots: n[RunnerBooting], BootsFailed: n[BootFailed], Joined: n[RunnerUp], Gone: n[RunnerGone],
		Arrived: n[CallQueued] + n[CallRefused], Refused: n[CallRefused], Leased: n[CallLeased], Started: n[CallStarted],
		Ended: n[CallEnded], Left: n[CallLeft], Failed: n[CallFailed], Lost: n[CallLost], Moved: n[CallMoved], Retried: n[CallRetried],
	}
}

func (r *runner) stats(now time.Duration) RunnerStats {
	s := RunnerStats{
		ID: r.id, Stage: r.stage.String(), Reason: r.why, Away: r.away,
		Running: r.load, Held: r.held, Served: r.served, Age: now - r.began,
	}
	if r.load == 0 && r.stage != booting {
		s.Idle = now - r.idleSince
	}
	return s
}

// String returns the stage in the words of Stats.
func (s stage) String() string {
	return [...]string{"booting", "ready", "draining", "gone"}[s]
}

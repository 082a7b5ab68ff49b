package flame

import (
	"time"

	"github.com/fleetinglambda/flame/internal/pool"
)

// Stats is what a pool has at one moment, and what it has done since it was opened.
type Stats struct {
	Min, Max                 int
	Booting, Ready, Draining int             // runners
	Running                  int             // calls that hold a slot, also those whose caller has gone while the function goes on
	Held                     int             // of these, those that have returned something that is not closed yet
	Waiting                  int             // calls in line
	WaitingBytes             int64           // what these take up, see Config.MaxQueueBytes
	Line                     []PriorityStats // the line by priority, the highest first
	Runners                  []RunnerStats   // by id

	FailedBoots int   // in a row, up to now
	LastBoot    error // why the last boot failed that did, also if others have come up since; nil if none has

	Boots, BootsFailed, Joined, Gone uint64        // runners: that the backend was asked for, that failed, came up, and have left or were lost
	Arrived, Refused                 uint64        // calls
	Leased, Started                  uint64        // each time that a call got a slot, and was sent
	Ended                            uint64        // functions that are over
	Left                             uint64        // calls that had an outcome before their function was over
	Failed                           uint64        // calls whose function did not run
	Lost                             uint64        // calls that were lost with their runner
	Moved, Retried                   uint64        // each time that a call was put back in line
	RunnerTime                       time.Duration // that runners were there, added up, from the boot on
	DroppedEvents                    uint64        // see [Pool.Subscribe]
}

// PriorityStats is how many calls of one priority wait.
type PriorityStats struct {
	Priority, Waiting int
}

// RunnerStats is what one runner has at one moment.
type RunnerStats struct {
	ID      string
	Stage   string        // booting, ready or draining
	Reason  string        // why it is draining, see Event
	Away    bool          // its connection is gone: it gets no calls, and may come back, see Config.ResumeWindow
	Running int           // calls that hold one of its slots
	Held    int           // of these, those that have returned something that is not closed yet
	Served  int           // calls that are over
	Age     time.Duration // since its boot began
	Idle    time.Duration // since it had a call; 0 if it has one, or boots
}

// Stats returns what the pool has now. It may be called at any time, also after Close.
func (p *Pool) Stats() Stats {
	s := p.pool.Stats()
	t := Stats{
		Min: s.Min, Max: s.Max, Booting: s.Booting, Ready: s.Ready, Draining: s.Draining,
		Running: s.Running, Held: s.Held, Waiting: s.Waiting, WaitingBytes: s.WaitingBytes,
		FailedBoots: s.FailedBoots, LastBoot: atRim(p.config.Name, s.BootError),
		Boots: s.Boots, BootsFailed: s.BootsFailed, Joined: s.Joined, Gone: s.Gone,
		Arrived: s.Arrived, Refused: s.Refused, Leased: s.Leased, Started: s.Started, Ended: s.Ended, Left: s.Left,
		Failed: s.Failed, Lost: s.Lost, Moved: s.Moved, Retried: s.Retried, RunnerTime: s.RunnerTime, DroppedEvents: s.Dropped,
	}
	for _, l := range s.Line {
		t.Line = append(t.Line, PriorityStats(l))
	}
	for _, r := range s.Runners {
		t.Runners = append(t.Runners, runnerStats(r))
	}
	return t
}

func runnerStats(r pool.RunnerStats) RunnerStats {
	return RunnerStats{
		ID: r.ID, Stage: r.Stage, Reason: string(r.Reason), Away: r.Away, Running: r.Running, Held: r.Held, Served: r.Served, Age: r.Age, Idle: r.Idle,
	}
}

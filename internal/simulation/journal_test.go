package simulation

import (
	"context"
	"sync"
	"time"
)

// journal is what the functions of one life have done. It is PerProcess, so that functions write it where they run.
type journal struct {
	mu      sync.Mutex // guards what follows
	started map[int]int
	running int
	most    int // that ran at once
}

func newJournal() *journal { return &journal{started: make(map[int]int)} }

// begin notes that the function of an act runs, until end is called.
func (j *journal) begin(act int) (end func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.started[act]++
	j.running++
	j.most = max(j.most, j.running)
	return func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.running--
	}
}

func (j *journal) starts(act int) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.started[act]
}

// pause lasts d, or until ctx has ended if the function heeds that.
func pause(ctx context.Context, d time.Duration, heed bool) error {
	if !heed {
		<-time.After(d)
		return nil
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

package flame

import (
	"context"
	"time"

	"github.com/fleetinglambda/flame/backend"
)

const (
	// reapEvery is how often a pool looks for what a dead parent has left, after it has when it was opened.
	reapEvery = 10 * time.Minute
	// reapTime is how long that may take.
	reapTime = time.Minute
)

// reap has the backend remove what dead parents left, now and then, until ctx ends. Nobody waits for it but Close.
func (p *Pool) reap(ctx context.Context, b backend.Reaper) {
	tick := time.NewTicker(reapEvery)
	defer tick.Stop()
	for {
		limited, cancel := context.WithTimeout(ctx, reapTime)
		gone, err := b.Reap(limited, false)
		cancel()
		if len(gone) > 0 {
			p.config.Logger.Info("flame: removed what a dead parent had left", "pool", p.config.Name, "instances", gone)
		}
		if err != nil && ctx.Err() == nil {
			p.config.Logger.Warn("flame: cannot look for what dead parents have left", "pool", p.config.Name, "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

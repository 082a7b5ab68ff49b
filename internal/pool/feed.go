package pool

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	// feedLimit is how many events a reader may be behind before it misses some.
	feedLimit = 4096
	// lastEvents is how long Close waits for readers to take what is left.
	lastEvents = time.Second
)

// feed tells one reader what happens, in order, on a goroutine of its own. A reader that is slow misses events and learns
// how many; one that panics is told the next event nevertheless.
type feed struct {
	tell  func(Event)
	start time.Time // of the pool
	log   *slog.Logger
	wg    sync.WaitGroup // run
	done  chan struct{}  // closed when run has ended

	mu      sync.Mutex // guards what follows; never held while the reader is told
	waiting []Event
	missed  uint64 // events since the last one that waits
	dropped uint64 // events ever
	ending  bool   // no more events come
	stopped bool   // and nobody wants those that wait
	wake    chan struct{}
}

func newFeed(tell func(Event), start time.Time, log *slog.Logger) *feed {
	f := &feed{tell: tell, start: start, log: log, done: make(chan struct{}), wake: make(chan struct{}, 1)}
	f.wg.Go(f.run)
	return f
}

// put adds events, or drops them. It never waits for the reader.
func (f *feed) put(events []Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ending {
		return
	}
	for _, e := range events {
		if len(f.waiting) == feedLimit {
			f.missed++
			f.dropped++
			continue
		}
		e.Time, e.Dropped, f.missed = f.start.Add(e.at), f.missed, 0
		f.waiting = append(f.waiting, e)
	}
	f.wakeLocked()
}

func (f *feed) wakeLocked() {
	select {
	case f.wake <- struct{}{}:
	default: // it has been woken
	}
}

// end has no more events come. With drop, nor those that wait.
func (f *feed) end(drop bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ending = true
	f.stopped = f.stopped || drop
	f.wakeLocked()
}

// wait waits until the reader has what was left for it, but not for longer than ctx: it may be waiting for who waits
// here.
func (f *feed) wait(ctx context.Context) {
	select {
	case <-f.done:
		f.wg.Wait()
	case <-ctx.Done():
		f.end(true)
		f.log.Warn("flame: a reader of events has not returned; it misses the last ones")
	}
}

func (f *feed) isDone() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

func (f *feed) run() {
	defer close(f.done)
	defer f.end(true) // a reader may end its goroutine
	var spare []Event
	for range f.wake {
		f.mu.Lock()
		events, ending := f.waiting, f.ending
		f.waiting = spare[:0]
		f.mu.Unlock()
		for i := range events {
			if f.isStopped() {
				return
			}
			f.tellOne(events[i])
			events[i] = Event{}
		}
		if spare = events; ending {
			return
		}
	}
}

// drops returns how many events the reader was too slow for.
func (f *feed) drops() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dropped
}

func (f *feed) isStopped() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stopped
}

func (f *feed) tellOne(e Event) {
	defer func() {
		if v := recover(); v != nil {
			f.log.Error("flame: a reader of events panicked", "event", e.Kind.String(), "panic", fmt.Sprint(v))
		}
	}()
	f.tell(e)
}

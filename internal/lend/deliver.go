package lend

import (
	"context"
	"sync"
)

// maxUndelivered is how many bytes of records may wait for the parent's logger.
const maxUndelivered = 1 << 20

// deliveries are records on their way to the parent's loggers, one after the other. Whoever reads the connection
// must not wait for a logger, so they are delivered besides.
type deliveries struct {
	mu      sync.Mutex // guards what follows
	queue   []delivery
	bytes   int
	dropped int
	idle    chan struct{} // closed when nothing is left to deliver; nil if nothing is being delivered
}

type delivery struct {
	size int
	do   func()
}

// deliver has do done after all that came before, or drops it when too much waits.
func (d *Desk) deliver(size int, do func()) {
	q := &d.log
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.bytes+size > maxUndelivered {
		q.dropped++
		return
	}
	q.queue, q.bytes = append(q.queue, delivery{size, do}), q.bytes+size
	if q.idle == nil {
		q.idle = make(chan struct{})
		d.Owner.Go(d.deliverAll)
	}
}

// deliverAll delivers until nothing is left. After a logger that ends its goroutine, another goes on.
func (d *Desk) deliverAll() {
	q := &d.log
	returned := false
	defer func() {
		if !returned {
			d.Owner.Go(d.deliverAll)
		}
	}()
	for {
		q.mu.Lock()
		if len(q.queue) == 0 {
			dropped := q.dropped
			q.dropped = 0
			close(q.idle)
			q.idle = nil
			q.mu.Unlock()
			if dropped > 0 {
				d.Owner.Dropped(dropped)
			}
			returned = true
			return
		}
		next := q.queue[0]
		q.queue, q.bytes = q.queue[1:], q.bytes-next.size
		q.mu.Unlock()
		guarded(next.do)
	}
}

// guarded runs what the program has put in: a logger that panics must not end the parent.
func guarded(do func()) {
	defer func() { _ = recover() }()
	do()
}

// wait returns when nothing is left to deliver.
func (q *deliveries) wait(ctx context.Context) {
	q.mu.Lock()
	idle := q.idle
	q.mu.Unlock()
	if idle == nil {
		return
	}
	select {
	case <-idle:
	case <-ctx.Done():
	}
}

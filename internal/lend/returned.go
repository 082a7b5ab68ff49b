package lend

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"
)

// What a function returns may be lent in turn: it stays on the runner, and the parent has what stands in for it until
// that is closed. The notes are those about what the parent lends, with the sides exchanged; the number says which it is.
const (
	// returnedFrom is the number of the first thing that a result lends.
	returnedFrom = 1 << 32
	// maxReturned is how much one result may lend.
	maxReturned = 1024
)

// Returned keeps on the runner what a call's result has lent. It is the Link of the call's Borrower.
type Returned struct {
	Link

	mu     sync.Mutex        // guards what follows
	others func(note []byte) // heeds notes about what the parent has lent
	desk   *Desk             // nil: the result lends nothing
	open   int               // things that are not closed yet
	shut   map[uint64]bool   // those that are
	fault  error             // why it cannot go on
	done   chan struct{}     // closed when nothing is open any more, or for the fault
}

// Listen is for the Borrower.
func (r *Returned) Listen(heed func(note []byte)) {
	r.mu.Lock()
	r.others = heed
	r.mu.Unlock()
	r.Link.Listen(r.heed)
}

// heed gives a note of the parent to whom it is for.
func (r *Returned) heed(n []byte) {
	r.mu.Lock()
	desk, others := r.desk, r.others
	r.mu.Unlock()
	switch number, _ := binary.Uvarint(n); {
	case number >= returnedFrom && desk != nil:
		desk.Noted(n)
	case number < returnedFrom && others != nil:
		others(n)
	}
}

// Lend is for the codec: what can be closed stays here until it is.
func (r *Returned) Lend(v any, as reflect.Type) ([]byte, error) {
	if as.Kind() != reflect.Interface || shapeOf(as)&closes == 0 {
		return nil, fmt.Errorf("nobody could close a %v", as)
	}
	r.mu.Lock()
	if r.desk == nil {
		r.desk = &Desk{Owner: returns{r}, first: returnedFrom, closed: r.closed}
		r.shut, r.done = make(map[uint64]bool), make(chan struct{})
	}
	desk := r.desk
	r.mu.Unlock()
	ref, err := desk.Lend(v, as) // which may ask the parent for the offset of what is lent here and returned
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open = len(desk.streams); err == nil && r.open > maxReturned {
		err = fmt.Errorf("a result holds at most %d of what can be closed", maxReturned)
	}
	return ref, err
}

// Lent says whether the result lends anything.
func (r *Returned) Lent() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.open > 0
}

// Begin is called before the result is sent. What ends with the call's context may end as if nothing had happened, so of what
// comes after that the parent hears nothing.
func (r *Returned) Begin() {
	r.mu.Lock()
	listens := r.others != nil
	r.mu.Unlock()
	if !listens {
		r.Link.Listen(r.heed)
	}
	ctx := r.Link.Context()
	r.desk.Bind(func(n []byte) {
		if deadline, has := ctx.Deadline(); ctx.Err() == nil && (!has || time.Now().Before(deadline)) {
			r.Link.Note(n)
		}
	})
}

// Wait waits until the parent has closed everything. When ctx ends before, what is open is closed here. An error is why
// the parent could not use it any more; if it has cancelled the call, it knows.
func (r *Returned) Wait(ctx context.Context) error {
	var ended error
	select {
	case <-r.done:
	case <-ctx.Done():
		if ctx.Err() == context.DeadlineExceeded {
			ended = ctx.Err()
		}
	}
	r.End()
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(r.fault, ended)
}

// End closes what is open.
func (r *Returned) End() {
	r.mu.Lock()
	desk := r.desk
	r.mu.Unlock()
	if desk == nil {
		return
	}
	desk.Close()
	var wg sync.WaitGroup
	for _, s := range desk.streams {
		if s.leaveOpen() {
			wg.Go(func() { _ = s.close() }) // there is nobody to tell
		}
	}
	wg.Wait()
}

// leaveOpen says whether nobody has closed a stream, and that somebody does now.
func (s *stream) leaveOpen() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	open := !s.closed
	s.closed = true
	return open
}

// closed notes that the parent knows that a thing is closed.
func (r *Returned) closed(number uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.shut[number] = true
	if len(r.shut) == r.open {
		r.finishLocked()
	}
}

func (r *Returned) finishLocked() {
	select {
	case <-r.done:
	default:
		close(r.done)
	}
}

// returns is the owner of the desk.
type returns struct{ r *Returned }

// Go runs what is never asked for: nothing is logged on this desk.
func (returns) Go(f func()) { f() }

// Dropped is not called, either.
func (returns) Dropped(int) {}

// Fail ends it all.
func (o returns) Fail(err error) {
	r := o.r
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault = errors.Join(r.fault, err)
	r.finishLocked()
}

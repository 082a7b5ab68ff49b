package session

import (
	"errors"
	"sync/atomic"
	"time"
)

// A quick function runs on the goroutine that has read its call: starting another one would take longer
// than the function. Which function is quick is learned, and a watch gives the role of reading to
// another goroutine if a function takes longer after all.

const (
	// quick is how long a function may take to run on the reading goroutine.
	quick = 50 * time.Microsecond
	// provenAfter is how often in a row it must have been that quick.
	provenAfter = 3
	// tick is how long a function may hold up reading before another goroutine takes over.
	tick = time.Millisecond
	// maxHabits bounds how many functions are remembered.
	maxHabits = 4096
)

// errTakenOver ends a reading goroutine whose role another one has taken.
var errTakenOver = errors.New("another goroutine reads")

// habit is how often in a row a function was quick.
type habit uint8

func (v *Server) isQuick(key uint64) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return key != 0 && v.habits[key] >= provenAfter
}

func (v *Server) learn(key uint64, took time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch h := v.habits[key]; {
	case took >= quick:
		delete(v.habits, key)
	case h < provenAfter && len(v.habits) < maxHabits:
		v.habits[key] = h + 1
	}
}

// watch sees functions that hold up reading.
type watch struct {
	begun   atomic.Uint64 // how many functions have begun on a reading goroutine
	running atomic.Uint64 // the one that runs there now, by that count; 0 none. Who sets it to 0 has the role of reading
	parked  atomic.Bool   // the watch sleeps until it is woken
	wake    chan struct{}
}

// runInline runs a call on the reading goroutine. It returns errTakenOver if that took so long that
// another one reads now. A function that ends the goroutine (runtime.Goexit) leaves the role to a new one.
func (v *Server) runInline(in *Incoming) (err error) {
	in.inline = true
	id := v.watch.begun.Add(1)
	v.watch.running.Store(id)
	if v.watch.parked.CompareAndSwap(true, false) {
		v.watch.wake <- struct{}{} // never blocks: who was parked has taken its last token
	}
	returned := false
	defer func() {
		switch still := v.watch.running.CompareAndSwap(id, 0); {
		case !still:
			v.out.flush()
			err = errTakenOver
		case !returned:
			v.out.flush()
			v.wg.Go(v.read)
		}
	}()
	v.run(in)
	returned = true
	return nil
}

// watchInline gives the role of reading away when one function has run through a whole tick.
func (v *Server) watchInline() {
	timer := time.NewTimer(tick)
	defer timer.Stop()
	var running, begun uint64
	for {
		select {
		case <-v.done:
			return
		case <-timer.C:
		}
		id := v.watch.running.Load()
		switch {
		case id != 0 && id == running && v.watch.running.CompareAndSwap(id, 0):
			v.wg.Go(v.read)
		case id == 0 && begun == v.watch.begun.Load() && !v.park(begun):
			return
		}
		running, begun = id, v.watch.begun.Load()
		timer.Reset(tick)
	}
}

// park sleeps until another function than the begun-th runs on a reading goroutine; false: the session is over.
func (v *Server) park(begun uint64) bool {
	v.watch.parked.Store(true)
	if v.watch.begun.Load() != begun && v.watch.parked.CompareAndSwap(true, false) {
		return true
	}
	select {
	case <-v.watch.wake:
		return true
	case <-v.done:
		return false
	}
}

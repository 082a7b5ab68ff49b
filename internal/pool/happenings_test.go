package pool

import "time"

// happenings is all that can happen to a state. What cannot happen just now does nothing.
var happenings = []func(*world){
	(*world).arrive, (*world).arrive, (*world).arrive, (*world).arriveWithDeadline, (*world).arriveWithDeadline,
	(*world).up, (*world).up, (*world).up, (*world).bootFailed, (*world).lost, (*world).ended, (*world).ended,
	(*world).finish, (*world).finish, (*world).finish, (*world).again, (*world).expire,
	(*world).tick, (*world).tick, (*world).tick, (*world).skip, (*world).skip, (*world).shutOrClose,
}

func (w *world) take(deadline time.Duration) {
	c := &Call{deadline: deadline}
	w.of[c] = &seen{number: len(w.calls), inLine: true}
	w.calls = append(w.calls, c)
	w.event(func(now time.Duration) { w.s.arrive(c, now) })
	if w.shut && w.of[c].outcomes == 0 {
		w.Fatal("a call was taken in after shut")
	}
}

func (w *world) arrive()             { w.take(0) }
func (w *world) arriveWithDeadline() { w.take(w.now + grid*time.Duration(w.upTo("left", 4))) }

func (w *world) up() {
	if r := w.runner(booting); r != nil {
		w.comeUp(r)
	}
}

func (w *world) comeUp(r *runner) {
	if p := w.at[r]; !p.told {
		w.failed, p.stage, p.idleSince = 0, ready, w.now
	}
	w.event(func(now time.Duration) { w.s.up(r, now) })
}

func (w *world) bootFailed() {
	r := w.runner(booting)
	if r == nil {
		return
	}
	p := w.at[r]
	if p.stage = gone; !p.told && p.failedBefore == w.failed {
		w.failed++ // boots that began together fail once
	}
	w.event(func(now time.Duration) { w.s.bootFailed(r, errBootless, now) })
	if w.failed >= patience && w.runner(booting, ready) == nil && w.waiting() > 0 {
		w.Fatalf("%d calls wait after %d boots have failed", w.waiting(), w.failed)
	}
}

func (w *world) lost() {
	if r := w.runner(ready, draining); r != nil {
		w.lose(r)
	}
}

func (w *world) lose(r *runner) {
	w.at[r].lost = true
	w.event(func(now time.Duration) { w.s.lost(r, now) })
	if w.at[r].stage != draining {
		w.Fatal("a lost runner is not to leave")
	}
}

// ended comes when a runner is gone, and may come before its calls' ends do.
func (w *world) ended() {
	if r := w.runner(draining); r != nil {
		w.end(r)
	}
}

func (w *world) end(r *runner) {
	w.at[r].stage = gone
	w.event(func(now time.Duration) { w.s.ended(r, now) })
}

func (w *world) finish() {
	if c := w.holder(); c != nil {
		w.finishCall(c)
	}
}

func (w *world) finishCall(c *Call) {
	w.released(c)
	if w.of[c].outcomes == 0 {
		w.outcome(c, nil)
	}
	w.event(func(now time.Duration) { w.s.finish(c, now) })
}

// again is what happens to a call that was not started because its runner was lost.
func (w *world) again() {
	c := w.holder()
	if c == nil {
		return
	}
	r := w.of[c].holds
	if w.at[r].stage != gone {
		w.lose(r)
	}
	w.released(c)
	w.of[c].inLine = w.of[c].outcomes == 0
	w.event(func(now time.Duration) { w.s.again(c, now) })
}

func (w *world) expire() {
	if len(w.calls) == 0 {
		return
	}
	c := w.calls[w.upTo("which", len(w.calls)-1)]
	over := w.of[c].outcomes > 0
	w.event(func(now time.Duration) { w.s.expire(c, errGone, now) })
	if !over && w.of[c].outcomes == 0 {
		w.Fatal("the caller has gone and the call has no outcome")
	}
}

// tick lets time pass and does what is due.
func (w *world) tick() {
	w.now += grid * time.Duration(w.upTo("later", 3))
	w.event(w.s.tick)
	w.ticked = true
}

// skip lets the time pass until something is due.
func (w *world) skip() {
	if at, ok := w.s.due(); ok {
		w.now = max(w.now, at)
		w.event(w.s.tick)
		w.ticked = true
	}
}

func (w *world) shutOrClose() {
	switch w.upTo("end now", 5) {
	case 0, 1:
		w.shut = true
		w.event(w.s.shut)
	case 2:
		w.shut, w.closed = true, true
		w.event(w.s.close)
	}
}

// finishWork lets every boot come up and every function end. All calls must get their outcomes.
func (w *world) finishWork() {
	for range 200 {
		w.helpOn()
		w.check()
		if w.waiting()+w.holding() == 0 {
			return
		}
	}
	w.Fatalf("%d calls wait, %d hold slots, and nothing more happens", w.waiting(), w.holding())
}

// helpOn does one thing that has to come sooner or later.
func (w *world) helpOn() {
	if r := w.runner(booting); r != nil {
		w.comeUp(r)
	} else if c := w.holder(); c != nil {
		w.finishCall(c)
	} else if r := w.runner(draining); r != nil {
		w.end(r)
	} else {
		w.skip()
	}
}

// shutDown lets everything end in its own time. Nothing may be left.
func (w *world) shutDown() {
	w.shut = true
	w.event(w.s.shut)
	for range 200 {
		w.check()
		if len(w.s.runners) == 0 && w.holding() == 0 && w.waiting() == 0 {
			w.nothingIsLeft()
			return
		}
		w.helpOn()
	}
	w.Fatalf("%d runners, %d waiting and %d running calls are left", len(w.s.runners), w.waiting(), w.holding())
}

// cutOff closes the state while boots go on and calls run. Nothing may be left.
func (w *world) cutOff() {
	w.shut, w.closed = true, true
	w.event(w.s.close)
	w.check()
	for _, r := range w.runners {
		switch w.at[r].stage {
		case booting:
			w.comeUp(r)
		case ready:
			w.lose(r)
		}
		w.check()
	}
	for c := w.holder(); c != nil; c = w.holder() {
		w.finishCall(c)
		w.check()
	}
	for r := w.runner(draining); r != nil; r = w.runner(draining) {
		w.end(r)
		w.check()
	}
	w.nothingIsLeft()
}

func (w *world) nothingIsLeft() {
	s := w.s
	if len(s.runners)+s.line.n+len(s.deadlines.calls)+s.running != 0 || s.count != [gone + 1]int{} {
		w.Fatalf("left: %d runners, %d in line, %d deadlines, %d running, counts %v",
			len(s.runners), s.line.n, len(s.deadlines.calls), s.running, s.count)
	}
	if at, ok := s.due(); ok {
		w.Fatalf("nothing is left, and something is due at %v", at)
	}
	for _, c := range w.calls {
		if w.of[c].outcomes != 1 {
			w.Fatalf("call %d has %d outcomes", w.of[c].number, w.of[c].outcomes)
		}
	}
}

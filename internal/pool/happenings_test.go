package pool

import "time"

// happenings is all that can happen to a state. What cannot happen just now does nothing.
var happenings = []func(*world){
	(*world).arrive, (*world).arrive, (*world).arrive, (*world).arrive, (*world).arriveWithDeadline, (*world).arriveWithDeadline,
	(*world).up, (*world).up, (*world).up, (*world).bootFailed, (*world).died, (*world).ended, (*world).ended, (*world).leaving, (*world).turn, (*world).turn,
	(*world).begin, (*world).begin, (*world).begin, (*world).begin, (*world).begin, (*world).hold, (*world).hold,
	(*world).finish, (*world).finish, (*world).finish, (*world).again, (*world).lose, (*world).goOn, (*world).expire, (*world).expire, (*world).cancel,
	(*world).tick, (*world).tick, (*world).tick, (*world).skip, (*world).skip, (*world).answer, (*world).answer,
	(*world).resize, (*world).shutOrClose,
}

func (w *world) arrive()             { w.take(0) }
func (w *world) arriveWithDeadline() { w.take(w.now + grid*time.Duration(w.upTo("left", 4))) }

func (w *world) take(deadline time.Duration) {
	c := &Call{Size: int64(w.upTo("size", 2)), Priority: w.upTo("priority", 3) / 2, Retry: w.upTo("retry", 5) / 4}
	c.deadline = deadline
	c.Detached, c.UntilSlot = w.upTo("detached", 5) == 0, w.upTo("until slot", 9) == 0
	w.of[c] = &seen{number: len(w.calls), inLine: true}
	w.calls = append(w.calls, c)
	bytes := w.s.line.bytes + c.Size
	full := w.s.maxLine > 0 && w.s.line.n >= w.s.maxLine || w.s.maxBytes > 0 && c.Size > 0 && bytes > max(w.s.maxBytes, c.Size)
	for _, p := range w.at {
		full = full && (p.stage != ready || p.away || p.holds == w.s.slots)
	}
	var err error
	w.event(func(now time.Duration) {
		if err = w.s.arrive(c, now); err != nil {
			w.of[c].inLine = false
			w.outcome(c, err)
		}
	})
	switch {
	case w.shut && err != ErrClosed:
		w.Fatal("a call was taken in after shut")
	case !w.shut && (err == ErrQueueFull) != full:
		w.Fatalf("%d calls of %d bytes wait: %v", w.s.line.n, bytes, err)
	}
}

func (w *world) up() {
	if r := w.runner(booting); r != nil {
		w.comeUp(r)
	}
}

func (w *world) comeUp(r *runner) {
	if p := w.at[r]; !p.told {
		w.failed, p.stage, p.joined, p.idleSince, p.quietSince = 0, ready, w.now, w.now, w.now
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

func (w *world) died() {
	if r := w.runner(ready, draining); r != nil {
		w.die(r)
	}
}

func (w *world) die(r *runner) {
	w.at[r].lost = true
	w.event(func(now time.Duration) { w.s.died(r, now) })
	if s := w.at[r].stage; s != draining && s != gone {
		w.Fatal("a lost runner is not to leave")
	}
}

func (w *world) leaving() {
	r := w.runner(ready, draining)
	if r == nil {
		return
	}
	w.event(func(now time.Duration) { w.s.leaving(r, now) })
	if w.at[r].stage != draining {
		w.Fatal("a runner that leaves may have more calls")
	}
}

// turn is what happens when a runner cannot be reached any more, or again.
func (w *world) turn() {
	if r := w.runner(booting, ready, draining); r != nil {
		w.turnTo(r, !w.at[r].away)
	}
}

func (w *world) turnTo(r *runner, away bool) {
	p := w.at[r]
	if p.away = away; p.stage == ready {
		p.quietSince = w.now
	}
	w.event(func(now time.Duration) { w.s.turn(r, away, now) })
}

// ended comes when a runner is gone: it was told to, or killed, or has died. It may come before its calls' ends do.
func (w *world) ended() {
	r := w.runner(draining)
	if r == nil {
		return
	}
	if p := w.at[r]; !p.told && !p.killed && !p.lost {
		w.die(r)
	}
	w.end(r)
}

func (w *world) end(r *runner) {
	w.at[r].stage = gone
	w.event(func(now time.Duration) { w.s.ended(r, nil, now) })
}

// begin is what happens to a call that is sent to its runner.
func (w *world) begin() {
	c := pick(w, w.calls, func(c *Call) bool { return w.of[c].holds != nil && !w.of[c].sent })
	if c == nil {
		return
	}
	o := w.of[c]
	w.event(func(now time.Duration) { o.sent = w.s.begin(c, now) })
	if o.sent != (o.outcomes == 0) {
		w.Fatalf("call %d has %d outcomes and was sent: %v", o.number, o.outcomes, o.sent)
	}
	if !o.sent {
		w.finishCall(c)
		return
	}
	if o.starts++; o.starts > 1+o.losses || o.losses > c.Retry {
		w.Fatalf("call %d was sent %d times, and lost %d times", o.number, o.starts, o.losses)
	}
}

// hold is what happens to a call whose function returns something that stays.
func (w *world) hold() {
	c := pick(w, w.calls, func(c *Call) bool { return w.of[c].sent && !w.of[c].held })
	if c == nil {
		return
	}
	o := w.of[c]
	wanted := o.outcomes == 0
	if !wanted && o.cutAt == 0 {
		o.cutAt = w.now
	}
	if wanted {
		o.held = true
		w.outcome(c, nil)
	}
	w.event(func(now time.Duration) {
		if kept := w.s.hold(c, now); kept != wanted {
			w.Fatalf("call %d is held: %v", o.number, kept)
		}
	})
}

func (w *world) finish() {
	if c := w.holder(); c != nil {
		w.finishCall(c)
	}
}

func (w *world) finishCall(c *Call) {
	if p := w.at[w.of[c].holds]; w.of[c].sent {
		p.served++
		p.used = true
	}
	w.released(c)
	if w.of[c].outcomes == 0 {
		w.outcome(c, nil)
	}
	w.event(func(now time.Duration) { w.s.finish(c, nil, now) })
}

// again is what happens to a call that was not started because its runner was lost.
func (w *world) again() {
	c := w.holder()
	if c == nil {
		return
	}
	if r := w.of[c].holds; w.at[r].stage != gone {
		w.die(r)
	}
	if w.of[c].sent {
		w.of[c].starts--
	}
	w.released(c)
	w.of[c].inLine = w.of[c].outcomes == 0
	w.event(func(now time.Duration) { w.s.again(c, now) })
}

// lose is what happens to a call that was started, and whose runner was lost.
func (w *world) lose() {
	if c := pick(w, w.calls, func(c *Call) bool { return w.of[c].sent }); c != nil {
		w.loseCall(c)
	}
}

func (w *world) loseCall(c *Call) {
	if r := w.of[c].holds; w.at[r].stage != gone {
		w.die(r)
	}
	o := w.of[c]
	o.losses++
	w.at[o.holds].used = true
	retry := o.outcomes == 0 && !w.closed && o.losses <= c.Retry
	w.released(c)
	if o.inLine = retry; !retry && o.outcomes == 0 {
		w.outcome(c, nil)
	}
	var again bool
	w.event(func(now time.Duration) { again = w.s.lose(c, now) })
	if again != retry {
		w.Fatalf("call %d was lost %d times and may be %d times; run again: %v", o.number, o.losses, c.Retry, again)
	}
}

// goOn is what happens to a call that its runner has lost while it is well itself.
func (w *world) goOn() {
	c := pick(w, w.calls, func(c *Call) bool { return w.of[c].sent })
	if c == nil {
		return
	}
	o, started := w.of[c], w.upTo("started", 1) == 1
	goesOn := o.outcomes == 0 && !w.closed
	switch {
	case started:
		if goesOn = goesOn && o.losses < c.Retry; goesOn {
			o.losses++
		}
	default:
		if goesOn = goesOn && o.moves == 0; goesOn {
			o.moves++
			o.starts--
		}
	}
	if !goesOn {
		w.event(func(now time.Duration) { w.mayNot(c, w.s.goOn(c, started, now)) })
		w.finishCall(c)
		return
	}
	w.released(c)
	o.inLine = true
	w.event(func(now time.Duration) { w.mayNot(c, !w.s.goOn(c, started, now)) })
}

func (w *world) mayNot(c *Call, wrong bool) {
	if wrong {
		w.Fatalf("call %d, lost %d times and moved %d times, is in line or not", w.of[c].number, w.of[c].losses, w.of[c].moves)
	}
}

func (w *world) expire() {
	if c := pick(w, w.calls, func(c *Call) bool { return true }); c != nil {
		before, placed := w.of[c].outcomes, c.UntilSlot && w.of[c].holds != nil
		w.event(func(now time.Duration) { w.s.expire(c, errGone, now) })
		if after := w.of[c].outcomes; after == 0 && !placed || after > before && placed {
			w.Fatalf("the caller has gone; it waits only for a slot: %v; outcomes: %d", c.UntilSlot, after)
		}
		w.holdsNot(c, placed)
	}
}

func (w *world) cancel() {
	if c := pick(w, w.calls, func(c *Call) bool { return true }); c != nil {
		w.event(func(now time.Duration) { w.s.cancel(c, errGone, now) })
		if w.of[c].outcomes == 0 {
			w.Fatal("the call was cancelled and has no outcome")
		}
		w.holdsNot(c, false)
	}
}

// holdsNot: what a call has returned ends with its context.
func (w *world) holdsNot(c *Call, unless bool) {
	if o := w.of[c]; o.held && o.cutAt == 0 && !unless {
		w.Fatalf("what call %d has returned goes on", o.number)
	}
}

// answer is what happens when a runner says whether it is idle.
func (w *world) answer() {
	r := pick(w, w.runners, func(r *runner) bool { return w.at[r].asked })
	if r == nil {
		return
	}
	p, idle := w.at[r], w.upTo("idle", 1) == 1
	p.asked = false
	w.event(func(now time.Duration) { w.s.answer(r, idle, now) })
	if !idle && p.told && !w.shut && p.stage == draining && r.why == Idle {
		w.Fatal("a runner that is not idle was told to leave")
	}
	if p.stage == ready && p.holds == 0 {
		p.quietSince = w.now
	}
}

func (w *world) resize() {
	if w.upTo("resize", 2) > 0 {
		return
	}
	least := w.upTo("min", 2)
	most := max(1, least) + w.upTo("max", 2)
	w.event(func(now time.Duration) { w.s.resize(least, most, now) })
}

// tick lets time pass and does what is due.
func (w *world) tick() {
	w.now += grid * time.Duration(w.upTo("later", 3))
	w.tickNow()
}

func (w *world) tickNow() {
	w.event(w.s.tick)
	w.ticked = true
}

// skip lets the time pass until something is done.
func (w *world) skip() {
	for range 20 {
		at, ok := w.s.due()
		if !ok {
			return
		}
		w.now = max(w.now, at)
		if w.tickNow(); w.acted {
			return
		}
	}
}

func (w *world) shutOrClose() {
	switch w.upTo("end now", 11) {
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
	for range 300 {
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
	if r := w.runner(ready); r != nil && w.at[r].away && w.waiting() > 0 {
		w.turnTo(r, false)
		return
	}
	r := pick(w, w.runners, func(r *runner) bool {
		p := w.at[r]
		return p.stage == booting || p.stage == draining && (p.killed || p.lost || p.holds == 0)
	})
	if r == nil {
		if c := w.holder(); c != nil {
			w.finishCall(c)
		} else {
			w.skip()
		}
		return
	}
	if p := w.at[r]; p.stage == booting {
		w.comeUp(r)
	} else if c := w.holderOn(r); c == nil {
		w.end(r)
	} else if w.of[c].sent {
		w.loseCall(c)
	} else {
		w.finishCall(c)
	}
}

// shutDown lets everything end in its own time. Nothing may be left.
func (w *world) shutDown() {
	w.shut = true
	w.event(w.s.shut)
	for range 300 {
		w.check()
		if w.s.count == [gone + 1]int{} && w.holding() == 0 && w.waiting() == 0 {
			w.nothingIsLeft()
			return
		}
		w.helpOn()
	}
	w.Fatalf("%v runners, %d waiting and %d running calls are left", w.s.count, w.waiting(), w.holding())
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
			w.die(r)
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

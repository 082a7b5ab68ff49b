package pool

import "time"

// check holds the state to its promises. Each is written once; those about an action are with the action.
func (w *world) check() {
	w.countsAreTrue()
	w.slotsAreKept()
	w.ringsAreTrue()
	w.linesAreInOrder()
	w.deadlinesAreKept()
	w.nobodyIsStranded()
	w.bootsAreNeeded()
	w.bootsAreFew()
	w.idleRunnersLeave()
	w.overdueRunnersLeave()
	w.dueIsRight()
	w.replay.agrees(w.s.stats(w.now), w.now)
}

// countsAreTrue: the counts equal a recount by the onlooker, and there are never more than max runners, nor any more than
// before where max was lowered.
func (w *world) countsAreTrue() {
	var count [gone + 1]int
	for _, r := range w.runners {
		p := w.at[r]
		count[p.stage]++
		if r.stage != p.stage {
			w.Fatalf("a runner's stage is %v, it ought to be %v", r.stage, p.stage)
		}
	}
	count[gone] = 0
	if count != w.s.count {
		w.Fatalf("runners by stage: %v, counted %v", w.s.count, count)
	}
	if n := count[booting] + count[ready] + count[draining]; n > max(w.s.max, w.there) || count[booting]+count[ready] > w.s.max {
		w.Fatalf("runners by stage: %v, max is %d, before there were %d", count, w.s.max, w.there)
	}
	if w.s.line.n != w.waiting() || w.s.running != w.holding() {
		w.Fatalf("%d wait, %d run; counted %d and %d", w.s.line.n, w.s.running, w.waiting(), w.holding())
	}
}

// slotsAreKept: a runner never has more calls than slots, and a cancelled call counts until its function is over.
func (w *world) slotsAreKept() {
	held := 0
	for _, r := range w.runners {
		if p := w.at[r]; r.load != p.holds || r.load > w.s.slots {
			w.Fatalf("load %d, %d calls hold one of %d slots", r.load, p.holds, w.s.slots)
		}
		held += r.held
	}
	for _, c := range w.calls {
		o := w.of[c]
		if o.holds == nil {
			continue
		}
		if c.runner != o.holds || c.phase != granted || c.sent != o.sent {
			w.Fatalf("call %d holds a slot that it does not know of", o.number)
		}
		if c.answered != (o.outcomes > 0) {
			w.Fatalf("call %d is answered: %v", o.number, c.answered)
		}
		if o.held {
			held--
		}
	}
	if held != 0 {
		w.Fatalf("the runners say %d too many of how many results hold slots", held)
	}
}

// ringsAreTrue: every ready runner is in the ring of its load, the longest idle one last, or in that of those who are away.
func (w *world) ringsAreTrue() {
	inRing, free := 0, 0
	for r := w.s.free.away.first; r != nil; r = r.next {
		if inRing++; !w.at[r].away || w.at[r].stage != ready {
			w.Fatalf("a runner in stage %v is away", w.at[r].stage)
		}
	}
	for load := range w.s.slots + 1 {
		g := &w.s.free.full
		if load < w.s.slots {
			g = &w.s.free.byLoad[load]
		}
		var before *runner
		for r := g.first; r != nil; before, r = r, r.next {
			inRing++
			free += w.s.slots - load
			if w.at[r].stage != ready || w.at[r].away || r.load != load || r.prev != before {
				w.Fatalf("a runner in stage %v with load %d is in the ring of %d", w.at[r].stage, r.load, load)
			}
			if load == 0 && before != nil && w.at[before].quietSince < w.at[r].quietSince {
				w.Fatal("the idle runners are out of order")
			}
		}
		if g.last != before {
			w.Fatal("a ring does not end with its last runner")
		}
	}
	if inRing != w.s.count[ready] || free != w.s.free.slots {
		w.Fatalf("%d of %d runners are in rings, %d of %d slots", inRing, w.s.count[ready], free, w.s.free.slots)
	}
}

// linesAreInOrder: those who wait are in the line of their priority in the order in which they came.
func (w *world) linesAreInOrder() {
	n, bytes := 0, int64(0)
	for i, l := range w.s.line.by {
		if i > 0 && w.s.line.by[i-1].priority <= l.priority || l.n == 0 {
			w.Fatalf("line %d is of priority %d and has %d calls", i, l.priority, l.n)
		}
		var before *Call
		of := 0
		for c := l.first; c != nil; before, c = c, c.next {
			of++
			bytes += c.Size
			if !w.of[c].inLine || c.phase != waiting || c.answered || c.prev != before || c.Priority != l.priority {
				w.Fatalf("call %d is in line", w.of[c].number)
			}
			if before != nil && w.of[before].number > w.of[c].number {
				w.Fatalf("call %d is in line before call %d", w.of[before].number, w.of[c].number)
			}
		}
		if n += of; l.last != before || of != l.n {
			w.Fatalf("%d in line, counted %d", l.n, of)
		}
	}
	if n != w.s.line.n || bytes != w.s.line.bytes {
		w.Fatalf("%d in line with %d bytes, counted %d with %d", w.s.line.n, w.s.line.bytes, n, bytes)
	}
}

// deadlinesAreKept: every call without an outcome that has a deadline has an alarm, every other alarm has its reason, and
// none is left behind.
func (w *world) deadlinesAreKept() {
	n := 0
	for _, c := range w.calls {
		o := w.of[c]
		if o.outcomes == 0 && c.deadline > 0 {
			if w.ticked && c.deadline <= w.now {
				w.Fatalf("call %d has no outcome although its time is over", o.number)
			}
			if n++; c.alarm.where == 0 || c.alarm.at != c.deadline {
				w.Fatalf("call %d has a deadline that nobody keeps", o.number)
			}
		} else if c.alarm.where > 0 {
			if n++; o.cutAt == 0 || w.s.grace == 0 {
				w.Fatalf("call %d has an alarm that nobody needs", o.number)
			}
		}
	}
	for _, r := range w.runners {
		if r.alarm.where > 0 {
			if n++; r.stage == gone || r.stage == booting || r.stage == ready && w.s.maxAge == 0 {
				w.Fatalf("a runner in stage %v has an alarm", r.stage)
			}
		}
	}
	if n != w.s.alarms.n {
		w.Fatalf("%d alarms, counted %d", w.s.alarms.n, n)
	}
}

// nobodyIsStranded: whoever waits does so because every slot is taken and as many runners boot as may or need be.
// The same holds for min and headroom.
func (w *world) nobodyIsStranded() {
	s := w.s
	if s.line.n > 0 && (w.closed || s.free.slots > 0) {
		w.Fatalf("%d wait; %d slots are free; closed: %v", s.line.n, s.free.slots, w.closed)
	}
	coming := s.count[booting] * s.slots
	uncovered := s.line.n > coming
	short := !w.shut && (s.count[booting]+s.count[ready] < s.min-s.asleep || s.free.slots+coming-s.line.n < s.headroom)
	room := s.count[booting]+s.count[ready]+s.count[draining] < s.max
	if w.closed || !room || !uncovered && (!short || s.count[booting] >= together) {
		return
	}
	at := s.demand.next()
	if w.now >= at {
		w.Fatalf("%d wait, %d boot, %d are ready, and no boot was begun", s.line.n, s.count[booting], s.count[ready])
	}
	if due, ok := s.due(); !ok || due > at || s.demand.retryAt > w.now+lastBackoff || at > w.now+time.Minute {
		w.Fatalf("a boot is to be tried again at %v, due is %v %v", at, due, ok)
	}
}

// bootsAreNeeded: boots cover the line, min and headroom, no more; one by one after a failure; none after close.
func (w *world) bootsAreNeeded() {
	s := w.s
	if s.asleep < 0 || s.asleep > s.min || s.asleep > 0 && (s.line.n > 0 || s.minIdleAfter <= 0) {
		w.Fatalf("%d runners of min %d are let go while %d calls wait", s.asleep, s.min, s.line.n)
	}
	if w.booted == 0 {
		return
	}
	before := (s.count[booting] - 1) * s.slots
	forLine := before < s.line.n
	forMin := !w.shut && s.count[booting]+s.count[ready] <= s.min
	forHeadroom := !w.shut && s.free.slots+before-s.line.n < s.headroom
	switch {
	case !forLine && !forMin && !forHeadroom:
		w.Fatalf("%d wait, %d boot, %d are ready", s.line.n, s.count[booting], s.count[ready])
	case w.failed > 0 && w.booted > 1:
		w.Fatalf("%d boots began together after %d have failed", w.booted, w.failed)
	case w.closed:
		w.Fatal("a boot was begun after close")
	}
}

// bootsAreFew: in no minute do more boots begin that are of no use than the rules allow in two.
func (w *world) bootsAreFew() {
	if w.booted == 0 {
		return
	}
	n := 0
	for _, r := range w.runners {
		if p := w.at[r]; !p.used && p.began > w.now-time.Minute {
			n++
		}
	}
	if most := 2*int(time.Minute/w.s.bootEvery()) + 1; n > most {
		w.Fatalf("%d boots in a minute, at most %d", n, most)
	}
}

// idleRunnersLeave: beyond min and headroom, no runner is without a call for longer than it may be, nor lives for longer;
// after shut and the last call, none stays.
func (w *world) idleRunnersLeave() {
	s := w.s
	if n := s.count[ready] + s.count[booting]; w.shut && s.line.n == 0 && s.running == 0 && n > 0 {
		w.Fatalf("all is over and %d runners stay", n)
	}
	if !w.ticked {
		return
	}
	after, leaves := s.leavesAfter()
	for _, r := range w.runners {
		p := w.at[r]
		if p.stage != ready {
			continue
		}
		if leaves && p.holds == 0 && !p.away && w.now-p.quietSince >= after && !s.asks {
			w.Fatalf("a runner stays after %v without a call", w.now-p.idleSince)
		}
		if s.maxAge > 0 && w.now-p.joined >= s.maxAge {
			w.Fatalf("a runner is %v old", w.now-p.joined)
		}
	}
}

// overdueRunnersLeave: where a function does not end, no new call begins, and when nobody waits for another one there,
// or its time is over, that is the end.
func (w *world) overdueRunnersLeave() {
	if !w.ticked || w.s.grace == 0 {
		return
	}
	for _, c := range w.calls {
		r := w.of[c].holds
		if r == nil || !w.isOverdue(c) {
			continue
		}
		p := w.at[r]
		if p.stage == gone || p.killed || p.lost {
			continue
		}
		if p.culprit != r.culprit {
			p.culprit, p.blamedAt = r.culprit, w.now
		}
		blamed := r.culprit == c && r.alarm.where > 0 && r.alarm.at <= p.blamedAt+w.s.lastGrace
		switch {
		case p.stage == ready:
			w.Fatalf("a function does not end, and its runner may have more calls")
		case !blamed && (c.alarm.where == 0 || c.alarm.at > w.now+w.s.grace):
			w.Fatalf("a function does not end, and its runner is not going to be killed")
		case r.culprit != nil && r.cut == p.holds:
			w.Fatalf("nobody waits for a runner whose function does not end, and it is not killed")
		}
	}
}

// dueIsRight: what is due comes, and what has been done is not due any more.
func (w *world) dueIsRight() {
	at, ok := w.s.due()
	if w.ticked && ok && at <= w.now {
		w.Fatalf("at %v, after a tick, something is still due at %v", w.now, at)
	}
	if !ok {
		at = 1<<63 - 1
	}
	for _, c := range w.calls {
		if w.of[c].outcomes == 0 && c.deadline > 0 && c.deadline < at {
			w.Fatalf("due at %v, a deadline is at %v", at, c.deadline)
		}
	}
	after, leaves := w.s.leavesAfter()
	for _, p := range w.at {
		if leaves && p.stage == ready && p.holds == 0 && !p.away && p.quietSince+after < at {
			w.Fatalf("due at %v, a runner's time is over at %v", at, p.quietSince+after)
		}
	}
}

// nothingIsLeft: when all is over, there is no runner and no call, and every call has had its outcome.
func (w *world) nothingIsLeft() {
	s := w.s
	if s.line.n+s.alarms.n+s.running+s.free.slots != 0 || s.count != [gone + 1]int{} {
		w.Fatalf("left: %d in line, %d alarms, %d running, counts %v", s.line.n, s.alarms.n, s.running, s.count)
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

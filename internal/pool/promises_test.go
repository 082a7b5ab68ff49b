package pool

import "time"

// check holds the state to its promises. Each is written once.
func (w *world) check() {
	w.countsAreTrue()
	w.slotsAreKept()
	w.ringsAreTrue()
	w.lineIsInOrder()
	w.deadlinesAreKept()
	w.nobodyIsStranded()
	w.bootsAreNeeded()
	w.idleRunnersLeave()
	w.dueIsRight()
}

// countsAreTrue: the counts equal a recount by the onlooker, and there are never more than max runners.
func (w *world) countsAreTrue() {
	var count [gone + 1]int
	for r, p := range w.at {
		count[p.stage]++
		if r.stage != p.stage {
			w.Fatalf("a runner's stage is %d, it ought to be %d", r.stage, p.stage)
		}
		if _, known := w.s.runners[r]; known != (p.stage != gone) {
			w.Fatalf("a runner in stage %d is known: %v", p.stage, known)
		}
	}
	count[gone] = 0
	if count != w.s.count {
		w.Fatalf("runners by stage: %v, counted %v", w.s.count, count)
	}
	if n := count[booting] + count[ready] + count[draining]; n > w.s.max || n != len(w.s.runners) {
		w.Fatalf("%d runners, max is %d, known %d", n, w.s.max, len(w.s.runners))
	}
	if w.s.line.n != w.waiting() || w.s.running != w.holding() {
		w.Fatalf("%d wait, %d run; counted %d and %d", w.s.line.n, w.s.running, w.waiting(), w.holding())
	}
}

// slotsAreKept: a runner never has more calls than slots, and a cancelled call counts until its function is over.
func (w *world) slotsAreKept() {
	for r, p := range w.at {
		if r.load != p.holds || r.load > w.s.slots {
			w.Fatalf("load %d, %d calls hold one of %d slots", r.load, p.holds, w.s.slots)
		}
	}
	for _, c := range w.calls {
		o := w.of[c]
		if o.holds == nil {
			continue
		}
		if c.runner != o.holds || c.phase != granted {
			w.Fatalf("call %d holds a slot that it does not know of", o.number)
		}
		if c.answered != (o.outcomes > 0) {
			w.Fatalf("call %d is answered: %v", o.number, c.answered)
		}
	}
}

// ringsAreTrue: every ready runner with a free slot is in the ring of its load, the longest idle one last.
func (w *world) ringsAreTrue() {
	inRing := 0
	for load := range w.s.free.byLoad {
		var before *runner
		for r := w.s.free.byLoad[load].first; r != nil; before, r = r, r.next {
			inRing++
			if w.at[r].stage != ready || r.load != load || r.prev != before {
				w.Fatalf("a runner in stage %d with load %d is in the ring of %d", w.at[r].stage, r.load, load)
			}
			if load == 0 && before != nil && w.at[before].idleSince < w.at[r].idleSince {
				w.Fatal("the idle runners are out of order")
			}
		}
		if w.s.free.byLoad[load].last != before {
			w.Fatal("a ring does not end with its last runner")
		}
	}
	for _, p := range w.at {
		if p.stage == ready && p.holds < w.s.slots {
			inRing--
		}
	}
	if inRing != 0 {
		w.Fatalf("%d runners too many have a free slot", inRing)
	}
}

// lineIsInOrder: those who wait are in line in the order in which they came.
func (w *world) lineIsInOrder() {
	var before *Call
	n := 0
	for c := w.s.line.first; c != nil; before, c = c, c.next {
		n++
		if !w.of[c].inLine || c.phase != waiting || c.answered || c.prev != before {
			w.Fatalf("call %d is in line", w.of[c].number)
		}
		if before != nil && w.of[before].number > w.of[c].number {
			w.Fatalf("call %d is in line before call %d", w.of[before].number, w.of[c].number)
		}
	}
	if n != w.s.line.n || w.s.line.last != before {
		w.Fatalf("%d in line, counted %d", w.s.line.n, n)
	}
}

// deadlinesAreKept: every call without an outcome that has a deadline is among the deadlines, no other one is, and
// none is left behind.
func (w *world) deadlinesAreKept() {
	n := 0
	for _, c := range w.calls {
		if c.deadline == 0 || w.of[c].outcomes > 0 {
			continue
		}
		n++
		if w.ticked && c.deadline <= w.now {
			w.Fatalf("call %d has no outcome although its time is over", w.of[c].number)
		}
		if c.place < 1 || c.place > len(w.s.deadlines.calls) || w.s.deadlines.calls[c.place-1] != c {
			w.Fatalf("call %d has a deadline that nobody keeps", w.of[c].number)
		}
	}
	d := w.s.deadlines.calls
	if n != len(d) {
		w.Fatalf("%d deadlines, counted %d", len(d), n)
	}
	for i := range d {
		if i > 0 && d[(i-1)/2].deadline > d[i].deadline {
			w.Fatal("the deadlines are out of order")
		}
	}
}

// nobodyIsStranded: whoever waits does so because every slot is taken and as many runners boot as may or need be.
// The same holds for min.
func (w *world) nobodyIsStranded() {
	s := w.s
	if s.line.n > 0 && w.closed {
		w.Fatalf("%d wait although the pool is closed", s.line.n)
	}
	for _, p := range w.at {
		if s.line.n > 0 && p.stage == ready && p.holds < s.slots {
			w.Fatalf("%d wait although a runner has a free slot", s.line.n)
		}
	}
	uncovered := s.line.n > s.count[booting]*s.slots
	short := !w.shut && s.count[booting]+s.count[ready] < s.min
	room := len(s.runners) < s.max
	if w.closed || !room || !uncovered && !short || s.count[booting] >= together {
		return
	}
	if w.now >= s.retryAt {
		w.Fatalf("%d wait, %d boot, %d are ready, and no boot was begun", s.line.n, s.count[booting], s.count[ready])
	}
	if at, ok := s.due(); !ok || at > s.retryAt || s.retryAt > w.now+lastBackoff {
		w.Fatalf("a boot is to be tried again at %v, due is %v %v", s.retryAt, at, ok)
	}
}

// bootsAreNeeded: boots cover the line and min, no more; one by one after a failure; none after close.
func (w *world) bootsAreNeeded() {
	s := w.s
	if w.booted == 0 {
		return
	}
	forLine := (s.count[booting]-1)*s.slots < s.line.n
	forMin := !w.shut && s.count[booting]+s.count[ready] <= s.min
	switch {
	case !forLine && !forMin:
		w.Fatalf("%d wait, %d boot, %d are ready", s.line.n, s.count[booting], s.count[ready])
	case w.failed > 0 && w.booted > 1:
		w.Fatalf("%d boots began together after %d have failed", w.booted, w.failed)
	case w.closed:
		w.Fatal("a boot was begun after close")
	}
}

// idleRunnersLeave: beyond min, no runner is without a call for longer than it may be; after shut and the last
// call, none stays.
func (w *world) idleRunnersLeave() {
	s := w.s
	if n := s.count[ready] + s.count[booting]; w.shut && s.line.n == 0 && s.running == 0 && n > 0 {
		w.Fatalf("all is over and %d runners stay", n)
	}
	for _, p := range w.at {
		if w.ticked && p.stage == ready && p.holds == 0 && s.idleAfter >= 0 && s.count[ready] > s.min && w.now-p.idleSince >= s.idleAfter {
			w.Fatalf("a runner beyond min stays after %v without a call", w.now-p.idleSince)
		}
	}
}

// dueIsRight: what is due comes, and what has been done is not due any more.
func (w *world) dueIsRight() {
	at, ok := w.s.due()
	if w.ticked && ok && at <= w.now {
		w.Fatalf("at %v, after a tick, something is still due at %v", w.now, at)
	}
	never := time.Duration(1<<63 - 1)
	if !ok {
		at = never
	}
	for _, c := range w.s.deadlines.calls {
		if c.deadline < at {
			w.Fatalf("due at %v, a deadline is at %v", at, c.deadline)
		}
	}
	for _, p := range w.at {
		if p.stage == ready && p.holds == 0 && w.s.idleAfter >= 0 && w.s.count[ready] > w.s.min && p.idleSince+w.s.idleAfter < at {
			w.Fatalf("due at %v, a runner's time is over at %v", at, p.idleSince+w.s.idleAfter)
		}
	}
}

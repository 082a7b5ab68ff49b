package pool

import (
	"errors"
	"time"
)

// event lets something happen and looks at every action and every event that follows.
func (w *world) event(decide func(time.Duration)) {
	w.ticked, w.booted, w.surplus, w.acted = false, 0, 0, false
	w.able = w.s.count[booting] + w.s.count[ready]
	w.there, w.asleep = w.able+w.s.count[draining], w.s.asleep
	decide(w.now)
	for _, a := range w.s.take() {
		w.acted = true
		w.action(a)
	}
	for _, e := range w.s.history.take() {
		w.replay.read(e)
		if w.tells {
			w.story = append(w.story, e)
		}
	}
	for _, r := range w.runners {
		p := w.at[r]
		if p.stage == ready && r.stage == draining { // it may drain before it is told anything
			p.stage = draining
			w.drained(r)
		}
		if p.asked { // and is silent: it is not asked again so soon
			p.quietSince = max(p.quietSince, r.quietSince)
		}
	}
}

func (w *world) action(a action) {
	switch a.kind {
	case boot:
		w.runners = append(w.runners, a.r)
		w.at[a.r] = &place{stage: booting, failedBefore: w.failed, began: w.now}
		w.booted++
	case retire:
		w.retired(a.r)
	case kill:
		w.killed(a.r)
	case ask:
		w.askedIfIdle(a.r)
	case grant:
		w.granted(a.c, a.r)
	case fail:
		if w.of[a.c].holds != nil {
			w.Fatalf("call %d failed although it holds a slot", w.of[a.c].number)
		}
		w.of[a.c].inLine = false
		w.outcome(a.c, a.err)
	case cut, part:
		w.left(a.c, a.r, a.kind == part, a.err)
	}
}

// granted: never a runner that is dead, draining or spent, nor beyond its slots; who has the highest priority is first, then
// who came first; the runner with the fewest calls.
func (w *world) granted(c *Call, r *runner) {
	o, p := w.of[c], w.at[r]
	if !o.inLine || o.outcomes > 0 {
		w.Fatalf("call %d got a slot although it does not wait", o.number)
	}
	if p.stage != ready || p.told || p.lost || p.away || w.s.once && p.served > 0 {
		w.Fatalf("call %d got a slot of a runner that is not ready", o.number)
	}
	for _, other := range w.calls {
		if q := w.of[other]; q.inLine && (other.Priority > c.Priority || other.Priority == c.Priority && q.number < o.number) {
			w.Fatalf("call %d got a slot before call %d", o.number, q.number)
		}
	}
	for _, other := range w.runners {
		if q := w.at[other]; q.stage == ready && other.stage == ready && !q.away && q.holds < p.holds {
			w.Fatalf("a runner with %d calls got another one, one with %d did not", p.holds, q.holds)
		}
	}
	o.inLine, o.holds = false, r
	p.holds++
	p.disturbed = true
}

// retired: only what has no call is told to leave, once.
func (w *world) retired(r *runner) {
	p := w.at[r]
	if p.told || p.killed || p.stage == gone {
		w.Fatal("a runner that was on its way out was told to leave")
	}
	if p.holds > 0 {
		w.Fatalf("a runner with %d calls was told to leave", p.holds)
	}
	if p.told = true; p.stage != draining {
		was := p.stage
		p.stage = draining
		if w.drained(r); was == booting && r.why != Surplus && (!w.shut || w.waiting()+w.holding() > 0) {
			w.Fatal("a runner that boots was told to leave while it may be of use")
		}
	}
}

// drained: a runner takes no more calls only for a reason.
func (w *world) drained(r *runner) {
	p := w.at[r]
	ok := false
	switch r.why {
	case Idle:
		w.idled(r)
		ok = !w.shut
	case Spent:
		ok = w.s.once && p.served > 0
	case Aged:
		ok = w.s.maxAge > 0 && w.now-p.joined >= w.s.maxAge*9/10
	case Surplus:
		w.surplus++
		ok = w.able-w.surplus >= w.s.max
	case Leaving:
		ok = true
	case Stuck:
		for _, c := range w.calls {
			ok = ok || w.of[c].holds == r && w.isOverdue(c)
		}
	case Lost:
		ok = p.lost
	case Closed:
		ok = w.shut && (w.closed || w.waiting()+w.holding() == 0)
	}
	if !ok {
		w.Fatalf("a runner with %d calls takes no more, because it is %q", p.holds, r.why)
	}
}

// idled: what leaves for want of calls has been without for long enough, and leaves min and headroom behind.
func (w *world) idled(r *runner) {
	p, after, least := w.at[r], w.s.idleAfter, w.s.min-w.asleep
	left, free := 0, 0
	for _, other := range w.runners {
		if other.stage == ready {
			left++
			free += w.s.slots - w.at[other].holds
		}
	}
	if left < least {
		after = w.s.minIdleAfter
	}
	switch {
	case p.holds > 0 || w.s.asks && p.disturbed:
		w.Fatalf("a runner with %d calls was taken for idle", p.holds)
	case !w.s.asks && after < 0, left < least && after == 0, w.now-p.idleSince < after:
		w.Fatalf("told to leave after %v without a call, %d left, min is %d", w.now-p.idleSince, left, least)
	case free+w.s.count[booting]*w.s.slots < w.s.headroom && w.booted == 0:
		w.Fatalf("%d free slots left", free)
	}
}

func (w *world) askedIfIdle(r *runner) {
	p := w.at[r]
	if p.asked || p.stage != ready || p.holds > 0 || w.now-p.quietSince < min(w.s.idleAfter, max(w.s.minIdleAfter, 0)) {
		w.Fatalf("a runner with %d calls was asked whether it is idle", p.holds)
	}
	p.asked, p.disturbed, p.quietSince = true, false, w.now
}

// killed: only a runner on which a function did not end, and that has no call which somebody waits for, or has had
// the time.
func (w *world) killed(r *runner) {
	p := w.at[r]
	overdue, others, late := false, 0, false
	for _, c := range w.calls {
		o := w.of[c]
		if o.holds != r {
			continue
		}
		overdue = overdue || w.isOverdue(c)
		late = late || w.isOverdue(c) && w.now-o.cutAt >= w.s.grace+w.s.lastGrace
		if o.cutAt == 0 {
			others++
		}
	}
	if p.killed || p.told || !overdue || others > 0 && !late {
		w.Fatalf("killed with %d other calls; overdue: %v, late: %v", others, overdue, late)
	}
	p.killed = true
}

// isOverdue says whether a call's function ought to have ended.
func (w *world) isOverdue(c *Call) bool {
	o := w.of[c]
	return w.s.grace > 0 && o.holds != nil && o.cutAt > 0 && o.sent && w.now-o.cutAt >= w.s.grace
}

// left: who gives up has held a slot, and holds it on.
func (w *world) left(c *Call, r *runner, goesOn bool, err error) {
	o := w.of[c]
	if o.holds != r || r == nil {
		w.Fatalf("call %d was cut without a slot", o.number)
	}
	if goesOn && (!c.Detached || o.held) {
		w.Fatalf("the function of call %d goes on", o.number)
	}
	if o.held && o.cutAt > 0 {
		w.Fatalf("what call %d has returned was cut twice", o.number)
	}
	if !goesOn {
		o.cutAt = w.now
	}
	if !o.held {
		w.outcome(c, err)
	}
}

// outcome: one for each call, and the times that it tells add up.
func (w *world) outcome(c *Call, err error) {
	o := w.of[c]
	if o.outcomes++; o.outcomes > 1 {
		w.Fatalf("call %d has %d outcomes", o.number, o.outcomes)
	}
	if late := new(TimeoutError); errors.As(err, &late) {
		if sum := late.Queued + late.Booting + late.Running; sum != w.now-c.arrived || min(late.Queued, late.Booting, late.Running) < 0 {
			w.Fatalf("%v queued, %v booting, %v running of %v", late.Queued, late.Booting, late.Running, w.now-c.arrived)
		}
		if late.Started != (o.starts > 0) {
			w.Fatalf("call %d was sent %d times; started: %v", o.number, o.starts, late.Started)
		}
	}
}

// released notes that a call has given its slot back.
func (w *world) released(c *Call) {
	o := w.of[c]
	p := w.at[o.holds]
	o.holds, o.sent, o.held, o.cutAt = nil, false, false, 0
	if p.holds--; p.holds == 0 {
		p.idleSince, p.quietSince = w.now, w.now
	}
}

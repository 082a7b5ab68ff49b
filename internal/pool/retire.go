package pool

import (
	"cmp"
	"fmt"
	"time"
)

// Reason says why a runner takes no more calls.
type Reason string

// The reasons.
const (
	Idle    Reason = "idle"    // it had no call for long enough
	Spent   Reason = "spent"   // it has served its one call
	Aged    Reason = "aged"    // it has lived for long enough
	Surplus Reason = "surplus" // the pool has been made smaller
	Leaving Reason = "leaving" // it says so itself
	Stuck   Reason = "stuck"   // a function does not end
	Lost    Reason = "lost"    // it has died
	Closed  Reason = "closed"  // the pool is closing
)

// soonestAsk is how long a runner has to be without a call, at least, to be asked whether it is idle.
const soonestAsk = 100 * time.Millisecond

// drain has a runner take no more calls that is booting or ready. It is told to leave when it has none.
func (s *state) drain(r *runner, why Reason, now time.Duration) {
	if r.stage == ready {
		s.free.remove(r)
		s.alarms.unset(&r.alarm)
	} else {
		s.coming.remove(r)
	}
	s.move(r, draining)
	r.why = why
	s.noteRunner(now, RunnerDraining, r, nil)
	s.tellIfEmpty(r)
}

// tellIfEmpty tells a draining runner to leave when it has no call.
func (s *state) tellIfEmpty(r *runner) {
	if r.stage == draining && r.load == 0 && !r.told && !r.lost {
		r.told = true
		s.do(action{kind: retire, r: r})
	}
}

// died notes that a runner takes no more calls because it has died. Its calls end one by one.
func (s *state) died(r *runner, now time.Duration) {
	if r.lost || r.stage == gone {
		return
	}
	r.lost = true
	switch {
	case r.stage != ready:
	case s.closed:
		s.drain(r, Closed, now)
	default:
		if r.load == 0 { // else what becomes of its calls says whether it was of use
			s.judge(r, now)
		}
		s.drain(r, Lost, now)
	}
	s.settle(now)
}

// turn notes that a runner cannot be reached now, or that it can again. As long as it is away it is given no calls.
func (s *state) turn(r *runner, away bool, now time.Duration) {
	if r.away == away {
		return
	}
	if r.stage == ready {
		s.free.remove(r)
	}
	r.away = away
	if r.stage == ready {
		r.quietSince = now // so that who was idle for longer stays in front
		s.free.add(r)
	}
	s.settle(now)
}

// leaving notes that a runner takes no more calls by its own will. Those that it has may end.
func (s *state) leaving(r *runner, now time.Duration) {
	if r.stage == ready {
		s.drain(r, Leaving, now)
	}
	s.settle(now)
}

// ended notes that nothing is left of a runner, and why.
func (s *state) ended(r *runner, why error, now time.Duration) {
	if r.stage == gone {
		return
	}
	s.alarms.unset(&r.alarm)
	s.bury(r, now)
	s.noteRunner(now, RunnerGone, r, why)
	s.settle(now)
}

// retireIdle lets runners leave that have been without a call for long enough. When no call comes any more and none is
// left, all leave.
func (s *state) retireIdle(now time.Duration) {
	if s.closing {
		if s.line.n == 0 && s.running == 0 {
			s.retireAll(now)
		}
		return
	}
	for {
		r := s.free.longestIdle()
		after, leaves := s.leavesAfter()
		if r == nil || !leaves || now-r.quietSince < after {
			return
		}
		s.letGo(r, now)
	}
}

func (s *state) retireAll(now time.Duration) {
	for s.coming.last != nil {
		s.drain(s.coming.last, Closed, now)
	}
	for r := s.free.leastLoaded(); r != nil; r = s.free.leastLoaded() {
		s.drain(r, Closed, now)
	}
	for s.free.away.first != nil {
		s.drain(s.free.away.first, Closed, now)
	}
}

// leavesAfter says whether a runner without a call may leave now, and how long it has to have been without.
func (s *state) leavesAfter() (after time.Duration, leaves bool) {
	if s.closing || s.free.slots+s.count[booting]*s.slots-s.slots < s.headroom {
		return 0, false
	}
	if s.count[ready] > s.min-s.asleep {
		return s.idleAfter, s.idleAfter >= 0
	}
	return s.minIdleAfter, s.minIdleAfter > 0
}

// letGo lets an idle runner leave, or asks it first.
func (s *state) letGo(r *runner, now time.Duration) {
	switch {
	case r.asked: // it has been silent for long enough to be asked again
		s.postpone(r, now)
	case s.asks:
		s.postpone(r, now)
		r.asked, r.disturbed = true, false
		s.do(action{kind: ask, r: r})
	default:
		s.retireOne(r, now)
	}
}

func (s *state) retireOne(r *runner, now time.Duration) {
	if s.count[ready] <= s.min-s.asleep {
		s.asleep++
	}
	s.drain(r, Idle, now)
}

// postpone counts the time without a call from now on.
func (s *state) postpone(r *runner, now time.Duration) {
	s.free.remove(r)
	r.quietSince = now
	s.free.add(r)
}

// answer notes what a runner said when it was asked whether it is idle. What has changed meanwhile counts more.
func (s *state) answer(r *runner, idle bool, now time.Duration) {
	_, leaves := s.leavesAfter()
	switch r.asked = false; {
	case r.stage != ready || r.load > 0:
	case idle && leaves && !r.disturbed:
		s.retireOne(r, now)
	default:
		s.postpone(r, now)
	}
	s.settle(now)
}

// resize changes how many runners there are. Those that are too many drain; none is killed.
func (s *state) resize(least, most int, now time.Duration) {
	s.min, s.max, s.asleep = least, most, 0
	s.noteRunner(now, Resized, nil, nil)
	s.settle(now)
}

// retireSurplus drains what is beyond max: first what boots, then what has the fewest calls.
func (s *state) retireSurplus(now time.Duration) {
	for s.count[booting]+s.count[ready] > s.max {
		r := s.coming.first
		if r == nil {
			r = s.free.leastLoaded()
		}
		if r == nil {
			r = cmp.Or(s.free.away.last, s.free.full.last)
		}
		s.drain(r, Surplus, now)
	}
}

// remind does what the alarm of a runner was set for.
func (s *state) remind(r *runner, now time.Duration) {
	if r.stage == ready {
		s.drain(r, Aged, now)
		return
	}
	s.kill(r)
}

// awaitEnd watches over a function that is to end. Where all that is left ought to have ended, nobody is waited for.
func (s *state) awaitEnd(c *Call, now time.Duration) {
	c.cut = true
	c.runner.cut++
	if s.grace > 0 && c.sent {
		s.alarms.set(&c.alarm, now+s.grace)
	}
	s.killIfHopeless(c.runner)
}

// condemn drains the runner of a function that goes on although it ought to have ended. The other calls may end.
func (s *state) condemn(c *Call, now time.Duration) {
	r := c.runner
	if r.lost || r.told {
		return
	}
	if r.culprit != nil { // one is enough; this one may outlast it
		s.alarms.set(&c.alarm, now+s.grace)
		return
	}
	r.culprit = c
	if r.stage == ready {
		s.drain(r, Stuck, now)
	}
	s.alarms.set(&r.alarm, now+s.lastGrace)
	s.killIfHopeless(r)
}

// killIfHopeless kills a condemned runner that has only calls nobody waits for.
func (s *state) killIfHopeless(r *runner) {
	if r.culprit != nil && r.load == r.cut {
		s.kill(r)
	}
}

func (s *state) kill(r *runner) {
	if r.told || r.lost || r.culprit == nil {
		return
	}
	r.told = true
	s.alarms.unset(&r.alarm)
	s.do(action{kind: kill, c: r.culprit, r: r, err: &StuckError{Runner: r.id, Call: r.culprit.number, Key: r.culprit.Key, Grace: s.grace}})
}

// relieve notes that a runner has one call less.
func (s *state) relieve(c *Call, r *runner) {
	if r.culprit == c {
		r.culprit = nil
		s.alarms.unset(&r.alarm)
	}
	s.tellIfEmpty(r)
	s.killIfHopeless(r)
}

// StuckError is why a runner was killed: a function went on although it ought to have ended.
type StuckError struct {
	Runner string
	Call   uint64        // the function's
	Key    uint64        // see Call
	Grace  time.Duration // how long it had to end, at least
	Stacks []byte        // of its goroutines, at most 64 KiB
	Name   string        // the function's, if somebody knows it
}

// Error returns one line.
func (e *StuckError) Error() string {
	name := cmp.Or(e.Name, fmt.Sprintf("the function of call %d", e.Call))
	return fmt.Sprintf("it was killed because %s did not end in %v although its context had", name, e.Grace)
}

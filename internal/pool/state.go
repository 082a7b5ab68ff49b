package pool

import (
	"time"
)

// phase is where a call is. It only moves forward, except that a call that provably did not start waits again.
type phase uint8

const (
	arriving phase = iota
	waiting        // in line
	granted        // has a slot
	over           // its slot, if it had one, is free again
)

// stage is where a runner is. It only moves forward.
type stage uint8

const (
	booting stage = iota
	ready
	draining // takes no more calls
	gone
)

// runner is one runner as the pool decides about it.
type runner struct {
	id        string
	stage     stage
	load      int           // calls that hold a slot
	idleSince time.Duration // when load became 0

	failedBefore int // boots in a row that had failed when this one began
	prev         *runner
	next         *runner
}

// rules are what a state decides by.
type rules struct {
	min, max  int
	slots     int // calls at a time per runner
	idleAfter time.Duration
	jitter    func() float64 // in [0, 1)
}

// Boots that fail are tried again, later and later.
const (
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 10 * time.Second
	// patience is how many boots in a row may fail, with no runner up, before the calls in line fail too: a
	// program that cannot boot must not cost its user the whole timeout.
	patience = 3
	// together is how many boots beyond those the line asks for are under way at a time.
	together = 10
)

// state decides what a pool does. It is pure: events come in with the time, actions go out; it starts nothing, waits
// for nothing and asks no clock. The pool calls it under its lock.
type state struct {
	rules
	actions []action

	line      line                 // calls without a slot
	free      rings                // ready runners with a free slot
	runners   map[*runner]struct{} // all but gone ones
	count     [gone + 1]int        // runners by stage
	running   int                  // calls that hold a slot
	deadlines deadlines            // of all calls without an outcome

	failed   int           // boots in a row; those that began together count once
	failure  error         // why the last one did
	retryAt  time.Duration // no boot before
	readyAt  time.Duration // when the pool last came to have a runner
	arrivals uint64        // calls that ever arrived
	closing  bool          // no new calls
	closed   bool          // and the old ones have failed
	nextID   func() string
}

// action is what the pool is to do. Exactly one kind of field is set with it.
type action struct {
	kind actionKind
	c    *Call
	r    *runner
	err  error
}

type actionKind uint8

const (
	grant  actionKind = iota // c has a slot of r: send it
	fail                     // c has no slot and gets err
	cut                      // c holds a slot of r and gets err now; its function is to be cancelled
	boot                     // boot r
	retire                   // r has no call: let it leave
)

func newState(r rules, nextID func() string) *state {
	return &state{rules: r, free: newRings(r.slots), runners: make(map[*runner]struct{}), nextID: nextID}
}

func (s *state) do(a action) { s.actions = append(s.actions, a) }

// take returns the actions decided since the last take. They are valid until the next event.
func (s *state) take() []action {
	a := s.actions
	s.actions = s.actions[:0]
	return a
}

// arrive takes a new call in.
func (s *state) arrive(c *Call, now time.Duration) {
	s.arrivals++
	c.number, c.arrived, c.alone = s.arrivals, now, s.count[ready] == 0
	if s.closing {
		s.fail(c, ErrClosed)
		return
	}
	s.deadlines.add(c)
	s.line.push(c)
	s.settle(now)
}

// settle grants, boots and retires what the state asks for. Every event ends with it.
func (s *state) settle(now time.Duration) {
	for s.line.first != nil {
		r := s.free.leastLoaded()
		if r == nil {
			break
		}
		s.grant(s.line.pop(), r, now)
	}
	s.bootFor(now)
	s.retireIdle(now)
}

func (s *state) grant(c *Call, r *runner, now time.Duration) {
	s.free.remove(r)
	r.load++
	s.free.add(r)
	c.phase, c.runner, c.granted = granted, r, now
	s.running++
	s.do(action{kind: grant, c: c, r: r})
}

// release frees the slot of a call.
func (s *state) release(c *Call, now time.Duration) {
	r := c.runner
	s.running--
	if r.stage == ready {
		s.free.remove(r)
	}
	if r.load--; r.load == 0 {
		r.idleSince = now
	}
	if r.stage == ready {
		s.free.add(r)
	}
}

// finish notes that a call's function is over, or never starts.
func (s *state) finish(c *Call, now time.Duration) {
	if c.phase != granted {
		return
	}
	s.release(c, now)
	c.phase = over
	s.deadlines.remove(c)
	s.settle(now)
}

// again puts a call that had a slot but certainly did not start back to its place in line.
func (s *state) again(c *Call, now time.Duration) {
	if c.phase != granted {
		return
	}
	s.release(c, now)
	c.runner = nil
	switch {
	case c.answered:
		c.phase = over
	case s.closed:
		s.deadlines.remove(c)
		s.fail(c, ErrClosed)
	default:
		s.line.back(c)
	}
	s.settle(now)
}

// expire gives a call its outcome because its time is over or its caller has gone.
func (s *state) expire(c *Call, cause error, now time.Duration) {
	if !c.answered && c.phase != over {
		s.giveUp(c, cause, now)
		s.settle(now)
	}
}

func (s *state) giveUp(c *Call, cause error, now time.Duration) {
	err := s.timeout(c, cause, now)
	s.deadlines.remove(c)
	switch c.phase {
	case waiting:
		s.line.remove(c)
		s.fail(c, err)
	case granted: // the slot is held until the function is over
		c.answered = true
		s.do(action{kind: cut, c: c, r: c.runner, err: err})
	}
}

func (s *state) timeout(c *Call, cause error, now time.Duration) *TimeoutError {
	e := &TimeoutError{Cause: cause}
	end := now
	if c.phase == granted {
		end = c.granted
		e.Started, e.Running = c.sent, now-c.granted
	}
	if c.alone {
		e.Booting = end - c.arrived
		if s.readyAt >= c.arrived && s.count[ready] > 0 || c.phase == granted {
			e.Booting = max(0, min(end, s.readyAt)-c.arrived)
		}
	}
	if e.Queued = end - c.arrived - e.Booting; c.phase == waiting && s.count[ready] == 0 && s.failure != nil {
		e.Boot = s.failure
	}
	return e
}

func (s *state) fail(c *Call, err error) {
	c.phase, c.answered = over, true
	s.do(action{kind: fail, c: c, err: err})
}

// bootFor boots what the line and min ask for.
func (s *state) bootFor(now time.Duration) {
	for now >= s.retryAt && s.lacksRunner() {
		r := &runner{id: s.nextID(), failedBefore: s.failed}
		s.runners[r] = struct{}{}
		s.count[booting]++
		s.do(action{kind: boot, r: r})
		if s.failed > 0 { // the next one a while later, whatever becomes of this one
			s.backOff(now)
		}
	}
}

// backOff puts the next boot off, the longer the more have failed in a row.
func (s *state) backOff(now time.Duration) {
	backoff := min(lastBackoff, firstBackoff<<min(s.failed-1, 10))
	s.retryAt = now + backoff/2 + time.Duration(s.jitter()*float64(backoff/2))
}

// lacksRunner says whether the line or min asks for one more boot, and there may be one.
func (s *state) lacksRunner() bool {
	up := s.count[booting] + s.count[ready]
	forLine := s.line.n > s.count[booting]*s.slots
	forMin := up < s.min && s.count[booting] < together && !s.closing
	if s.closed || up+s.count[draining] >= s.max {
		return false
	}
	return forLine || forMin
}

func (s *state) move(r *runner, to stage) {
	s.count[r.stage]--
	s.count[to]++
	r.stage = to
}

// up notes that a runner is ready for calls, unless it was told to leave meanwhile.
func (s *state) up(r *runner, now time.Duration) {
	if r.stage != booting {
		return
	}
	if s.count[ready] == 0 {
		s.readyAt = now
	}
	s.move(r, ready)
	s.failed, s.failure, s.retryAt = 0, nil, 0
	r.idleSince = now
	s.free.add(r)
	s.settle(now)
}

// bootFailed notes that a runner did not come up, and is gone.
func (s *state) bootFailed(r *runner, err error, now time.Duration) {
	if r.stage == draining { // nobody waited for it any more
		s.ended(r, now)
		return
	}
	s.remove(r)
	s.failure = err
	if r.failedBefore == s.failed { // else it is one of a burst, of which another has failed already
		s.failed++
		s.backOff(now)
	}
	if s.failed >= patience && s.count[ready] == 0 && s.count[booting] == 0 {
		for s.line.first != nil {
			c := s.line.pop()
			s.deadlines.remove(c)
			s.fail(c, err)
		}
	}
	s.settle(now)
}

// lost notes that a runner takes no more calls because it has died. Its calls end one by one.
func (s *state) lost(r *runner, now time.Duration) {
	if r.stage == ready {
		s.drain(r)
	}
	s.settle(now)
}

// drain has a runner leave that is booting or ready.
func (s *state) drain(r *runner) {
	if r.stage == ready {
		s.free.remove(r)
	}
	s.move(r, draining)
	s.do(action{kind: retire, r: r})
}

// ended notes that nothing is left of a runner.
func (s *state) ended(r *runner, now time.Duration) {
	s.remove(r)
	s.settle(now)
}

func (s *state) remove(r *runner) {
	s.move(r, gone)
	s.count[gone] = 0
	delete(s.runners, r)
}

// retireIdle lets runners leave that have been without a call for long enough, beyond min. When no call comes any
// more and none is left, all leave.
func (s *state) retireIdle(now time.Duration) {
	if s.closing && s.line.n == 0 && s.running == 0 {
		if s.count[booting]+s.count[ready] == 0 {
			return
		}
		for r := range s.runners {
			if r.stage != draining {
				s.drain(r)
			}
		}
		return
	}
	for s.idleAfter >= 0 && s.count[ready] > s.min {
		r := s.free.longestIdle()
		if r == nil || now-r.idleSince < s.idleAfter {
			return
		}
		s.drain(r)
	}
}

// tick does what is due.
func (s *state) tick(now time.Duration) {
	for c := s.deadlines.first(); c != nil && c.deadline <= now; c = s.deadlines.first() {
		s.giveUp(c, errDeadline, now)
	}
	s.settle(now)
}

// due returns when the next tick is needed; false if no time has to come.
func (s *state) due() (at time.Duration, ok bool) {
	soonest := func(t time.Duration) {
		if !ok || t < at {
			at, ok = t, true
		}
	}
	if c := s.deadlines.first(); c != nil {
		soonest(c.deadline)
	}
	if r := s.free.longestIdle(); r != nil && s.idleAfter >= 0 && s.count[ready] > s.min {
		soonest(r.idleSince + s.idleAfter)
	}
	if s.retryAt > 0 && s.lacksRunner() {
		soonest(s.retryAt)
	}
	return at, ok
}

// shut lets no new call in. Runners leave when there is nothing left to do.
func (s *state) shut(now time.Duration) {
	s.closing = true
	s.settle(now)
}

// close fails what waits; the pool cuts what runs.
func (s *state) close(now time.Duration) {
	s.closing, s.closed = true, true
	for s.line.first != nil {
		c := s.line.pop()
		s.deadlines.remove(c)
		s.fail(c, ErrClosed)
	}
	s.settle(now)
}

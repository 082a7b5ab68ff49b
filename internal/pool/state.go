package pool

import "time"

// phase is where a call is. It only moves forward, except that a call that provably did not start, or is to be run
// again, waits again.
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
	prev, next *runner
	id         string
	stage      stage
	used       bool          // has run a function
	judged     bool          // to have been of no use
	lost       bool          // has died
	away       bool          // cannot be reached now, and may come back
	told       bool          // to leave: nothing runs on it any more
	asked      bool          // whether it is idle, and has not answered
	disturbed  bool          // has had a call since it was asked
	load       int           // calls that hold a slot
	cut        int           // of these, those whose function ought to end
	held       int           // of these, those whose result holds them
	idleSince  time.Duration // when load became 0
	quietSince time.Duration // the same, or when it last was asked or said that it is not idle

	why          Reason        // it drains
	culprit      *Call         // whose function does not end, if it drains for that
	began        time.Duration // to boot
	joined       time.Duration // when it became ready
	served       int           // calls whose function it was sent and is over
	failedBefore int           // boots in a row that had failed when this one began
	alarm        alarm         // when ready: it is old; when draining: it is to be killed
}

// rules are what a state decides by. What is 0 is off, except where it says otherwise.
type rules struct {
	min, max       int
	slots          int           // calls at a time per runner
	idleAfter      time.Duration // negative: never
	minIdleAfter   time.Duration // for the runners of min; 0 or less: never
	asks           bool          // an idle runner is asked before it leaves
	once           bool          // a runner serves one call
	maxAge         time.Duration
	grace          time.Duration // how long a function may ignore that it ought to end
	lastGrace      time.Duration // how long the other calls of its runner may go on then
	headroom       int           // free slots to keep
	maxLine        int           // calls in line
	maxBytes       int64         // of the calls in line
	bootsPerMinute int           // that serve nobody; 0: as many as fit max
	jitter         func() float64
}

// state decides what a pool does. It is pure: events come in with the time, actions go out; it starts nothing, waits
// for nothing and asks no clock. The pool calls it under its lock.
type state struct {
	rules
	actions []action
	history history

	line     lines         // calls without a slot
	free     rings         // ready runners
	coming   ring          // booting ones, the last one first
	count    [gone + 1]int // runners by stage
	running  int           // calls that hold a slot
	held     int           // of these, those whose result holds it
	arrivals uint64        // calls that ever arrived
	alarms   alarms        // of calls and runners
	demand   demand        // what is known about boots
	asleep   int           // runners of min that have left because nobody came
	lived    time.Duration // of runners that are gone, from boot to end
	beganSum time.Duration // when each of the others began, added up
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
	part                     // c holds a slot of r and gets err now; its function goes on
	boot                     // boot r
	ask                      // ask r whether it is idle
	retire                   // r has no call: let it leave
	kill                     // r is to end, with the calls that it has
)

func newState(r rules, nextID func() string) *state {
	if r.once {
		r.slots = 1
	}
	if r.asks && r.idleAfter >= 0 {
		r.idleAfter = max(r.idleAfter, soonestAsk)
	}
	if r.asks && r.minIdleAfter > 0 {
		r.minIdleAfter = max(r.minIdleAfter, soonestAsk)
	}
	return &state{rules: r, free: newRings(r.slots), demand: demand{paid: -time.Minute}, nextID: nextID}
}

func (s *state) do(a action) { s.actions = append(s.actions, a) }

// take returns the actions decided since the last take. They are valid until the next event.
func (s *state) take() []action {
	a := s.actions
	s.actions = s.actions[:0]
	return a
}

// arrive takes a new call in, or says why not.
func (s *state) arrive(c *Call, now time.Duration) error {
	s.arrivals++
	c.number, c.arrived, c.alone, c.Attempt = s.arrivals, now, s.count[ready] == 0, 1
	c.alarm.call = c
	if err := s.refusal(c); err != nil {
		c.phase = over
		s.note(now, CallRefused, c, nil, err)
		return err
	}
	if c.deadline > 0 {
		s.alarms.set(&c.alarm, c.deadline)
	}
	s.line.push(c)
	s.asleep = 0
	s.note(now, CallQueued, c, nil, nil)
	s.settle(now)
	return nil
}

// refusal says why a call cannot be taken in.
func (s *state) refusal(c *Call) error {
	switch {
	case s.closing:
		return ErrClosed
	case s.free.slots > 0:
		return nil
	case s.maxLine > 0 && s.line.n >= s.maxLine,
		s.maxBytes > 0 && c.Size > 0 && s.line.bytes > 0 && s.line.bytes+c.Size > s.maxBytes: // alone, the largest one fits
		return ErrQueueFull
	}
	return nil
}

// settle grants, boots and retires what the state asks for. Every event ends with it.
func (s *state) settle(now time.Duration) {
	for s.line.n > 0 {
		r := s.free.leastLoaded()
		if r == nil {
			break
		}
		s.grant(s.line.pop(), r, now)
	}
	s.retireSurplus(now)
	s.bootFor(now)
	s.retireIdle(now)
}

func (s *state) grant(c *Call, r *runner, now time.Duration) {
	s.free.remove(r)
	r.load++
	s.free.add(r)
	r.disturbed = true
	c.phase, c.runner, c.granted = granted, r, now
	s.running++
	s.note(now, CallLeased, c, r, nil)
	s.do(action{kind: grant, c: c, r: r})
}

// begin notes that a call is sent to its runner. It says whether it still is to be.
func (s *state) begin(c *Call, now time.Duration) bool {
	if c.phase != granted || c.answered {
		return false
	}
	c.sent = true
	s.note(now, CallStarted, c, c.runner, nil)
	return true
}

// release frees the slot of a call.
func (s *state) release(c *Call, now time.Duration) {
	r := c.runner
	s.running--
	s.alarms.unset(&c.alarm)
	if c.cut {
		r.cut--
	}
	if c.held {
		s.held--
		r.held--
	}
	if r.stage == ready {
		s.free.remove(r)
	}
	if r.load--; r.load == 0 {
		r.idleSince, r.quietSince = now, now
	}
	if r.stage == ready {
		s.free.add(r)
	}
	s.relieve(c, r)
}

// finish notes that a call's function is over, or was never sent, for which err may say why.
func (s *state) finish(c *Call, err error, now time.Duration) {
	if c.phase != granted {
		return
	}
	r := c.runner
	if c.sent {
		r.served++
		s.useful(r)
	}
	what := CallEnded
	if !c.sent && !c.answered {
		what = CallFailed
	}
	s.leave(c, what, err, now)
	if s.once && c.sent && r.stage == ready {
		s.drain(r, Spent, now)
	}
	s.settle(now)
}

// again puts a call that had a slot but certainly did not start back to its place in line.
func (s *state) again(c *Call, now time.Duration) {
	switch {
	case c.phase != granted:
		return
	case c.answered:
		s.leave(c, CallEnded, nil, now)
	case s.closed:
		err := c.unrun(ErrClosed)
		s.leave(c, CallFailed, err, now)
		s.fail(c, err)
	default:
		s.judge(c.runner, now)
		s.backInLine(c, CallMoved, now)
	}
	s.settle(now)
}

// goOn puts a call back in line that its runner has lost while it is well itself, and says whether it has: not a call that has
// started and is not to be retried, nor one that was moved before.
func (s *state) goOn(c *Call, started bool, now time.Duration) bool {
	switch {
	case c.phase != granted || c.answered || s.closed:
		return false
	case started && c.Attempt <= c.Retry:
		s.useful(c.runner)
		s.retry(c, now)
	case !started && c.moves == 0:
		s.backInLine(c, CallMoved, now)
		c.moves++
	default:
		return false
	}
	s.settle(now)
	return true
}

// lose notes that a call was lost with its runner. It says whether the call is run again.
func (s *state) lose(c *Call, now time.Duration) (again bool) {
	if c.phase != granted {
		return false
	}
	s.useful(c.runner)
	again = c.Attempt <= c.Retry && !c.answered && !s.closed
	switch {
	case again:
		s.retry(c, now)
	case c.answered:
		s.leave(c, CallEnded, nil, now)
	default:
		s.leave(c, CallLost, nil, now)
	}
	s.settle(now)
	return again
}

// retry has a call run again.
func (s *state) retry(c *Call, now time.Duration) {
	s.backInLine(c, CallRetried, now)
	c.Attempt++
}

// leave takes a call from its slot for good.
func (s *state) leave(c *Call, what Kind, err error, now time.Duration) {
	if !c.answered {
		s.spend(c, now)
	}
	s.note(now, what, c, c.runner, err)
	s.release(c, now)
	c.phase = over
}

// backInLine takes a call from its slot to its old place in line.
func (s *state) backInLine(c *Call, what Kind, now time.Duration) {
	s.note(now, what, c, c.runner, nil)
	s.release(c, now)
	c.runner, c.sent, s.asleep = nil, false, 0
	if c.deadline > 0 {
		s.alarms.set(&c.alarm, c.deadline)
	}
	s.line.back(c)
}

// expire gives a call its outcome because its caller has gone. A function that is detached goes on.
func (s *state) expire(c *Call, cause error, now time.Duration) {
	if c.UntilSlot && c.phase == granted {
		return
	}
	s.giveUp(c, cause, c.Detached, now)
	s.settle(now)
}

// cancel gives a call its outcome and has its function end.
func (s *state) cancel(c *Call, cause error, now time.Duration) {
	s.giveUp(c, cause, false, now)
	s.settle(now)
}

func (s *state) giveUp(c *Call, cause error, goesOn bool, now time.Duration) {
	switch {
	case c.held && !c.cut && c.phase == granted:
		s.endHeld(c, cause, now)
		return
	case c.answered || c.phase == over:
		return
	}
	err := s.timeout(c, cause, now)
	s.alarms.unset(&c.alarm)
	if c.phase == waiting {
		s.line.remove(c)
		s.failWaiting(c, err, now)
		return
	}
	c.answered = true // the slot is held until the function is over
	s.note(now, CallLeft, c, c.runner, err)
	if goesOn {
		s.do(action{kind: part, c: c, r: c.runner, err: err})
		return
	}
	s.do(action{kind: cut, c: c, r: c.runner, err: err})
	s.awaitEnd(c, now)
}

// failWaiting gives a call its outcome that has just been taken from the line.
func (s *state) failWaiting(c *Call, err error, now time.Duration) {
	s.alarms.unset(&c.alarm)
	s.spend(c, now)
	err = c.unrun(err)
	s.note(now, CallFailed, c, nil, err)
	s.fail(c, err)
}

func (s *state) fail(c *Call, err error) {
	c.phase, c.answered = over, true
	s.do(action{kind: fail, c: c, err: err})
}

// failAll fails everything that waits.
func (s *state) failAll(err error, now time.Duration) {
	for s.line.n > 0 {
		s.failWaiting(s.line.pop(), err, now)
	}
}

// spend says in c where its time has gone until now.
func (s *state) spend(c *Call, now time.Duration) {
	end := now
	c.Running, c.Booting = 0, 0
	if c.phase == granted {
		end, c.Running = c.granted, now-c.granted
	}
	if c.alone {
		c.Booting = end - c.arrived
		if s.demand.readyAt >= c.arrived && s.count[ready] > 0 || c.phase == granted {
			c.Booting = max(0, min(end, s.demand.readyAt)-c.arrived)
		}
	}
	c.Queued = end - c.arrived - c.Booting
}

func (s *state) timeout(c *Call, cause error, now time.Duration) *TimeoutError {
	s.spend(c, now)
	e := &TimeoutError{Cause: cause, Queued: c.Queued, Booting: c.Booting, Running: c.Running}
	e.Started = c.phase == granted && c.sent || c.Attempt > 1
	if c.phase == waiting && s.count[ready] == 0 {
		e.Boot = s.demand.failure
	}
	return e
}

// tick does what is due.
func (s *state) tick(now time.Duration) {
	for a := s.alarms.next(now); a != nil; a = s.alarms.next(now) {
		switch {
		case a.runner != nil:
			s.remind(a.runner, now)
		case a.call.answered:
			s.condemn(a.call, now)
		default:
			s.giveUp(a.call, errDeadline, false, now)
		}
	}
	s.settle(now)
}

// due returns when the next tick is needed; false if no time has to come.
func (s *state) due() (at time.Duration, ok bool) {
	at, ok = s.alarms.soonest()
	soonest := func(t time.Duration) {
		if !ok || t < at {
			at, ok = t, true
		}
	}
	if r := s.free.longestIdle(); r != nil {
		if after, leaves := s.leavesAfter(); leaves {
			soonest(r.quietSince + after)
		}
	}
	if s.lacksRunner() {
		soonest(s.demand.next())
	}
	return at, ok
}

// shut lets no new call in. Runners leave when there is nothing left to do.
func (s *state) shut(now time.Duration) {
	if !s.closing {
		s.closing = true
		s.noteRunner(now, Closing, nil, nil)
	}
	s.settle(now)
}

// close fails what waits; the pool cuts what runs.
func (s *state) close(now time.Duration) {
	s.closed = true
	s.failAll(ErrClosed, now)
	s.shut(now)
}

package pool

import "time"

// Boots that fail are tried again, later and later.
const (
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 10 * time.Second
	// patience is how many boots in a row may fail, with no runner up, before the calls in line fail too: a
	// program that cannot boot must not cost its user the whole timeout.
	patience = 3
	// together is how many boots beyond those the line asks for are under way at a time.
	together = 10
	// youth is how long a runner that is of no use has to live for its end to be no failed boot.
	youth = 10 * time.Second
	// spareBoots is how many boots a minute may serve nobody, beyond one for each runner.
	spareBoots = 60
)

// demand is what is known about boots.
type demand struct {
	failed  int           // boots in a row; those that began together count once
	failure error         // why the last one did; nil once another has come up
	last    error         // likewise, but kept
	crashes int           // runners in a row that ended young, having run nothing
	retryAt time.Duration // no boot before
	paid    time.Duration // boots that have served nobody are paid for until then, one after the other
	readyAt time.Duration // when the pool last came to have a runner
}

// next returns when the next boot may begin.
func (d *demand) next() time.Duration { return max(d.retryAt, d.paid) }

// pay charges a boot. No more than a minute is ever in credit.
func (d *demand) pay(now, price time.Duration) {
	d.paid = max(d.paid, now-time.Minute) + price
}

// repay gives back the price of a boot that has come to be of use.
func (d *demand) repay(price time.Duration) { d.paid -= price }

// useful notes that a runner has run a function.
func (s *state) useful(r *runner) {
	s.demand.crashes = 0
	if !r.used {
		r.used = true
		s.demand.repay(s.bootEvery())
	}
}

// judge takes the end of a runner that was of no use for that of one that did not come up.
func (s *state) judge(r *runner, now time.Duration) {
	switch {
	case r.used, r.judged:
	case now-r.joined >= youth:
		s.demand.crashes = 0
	default:
		r.judged = true
		s.demand.crashes++
		s.backOff(now)
	}
}

// bootEvery is how far boots that serve nobody are apart in the long run.
func (s *state) bootEvery() time.Duration {
	n := s.bootsPerMinute
	if n == 0 {
		n = spareBoots + s.max
	}
	return time.Minute / time.Duration(n)
}

// bootFor boots what the line, min and headroom ask for.
func (s *state) bootFor(now time.Duration) {
	for s.lacksRunner() && now >= s.demand.next() {
		r := &runner{id: s.nextID(), failedBefore: s.demand.failed, began: now}
		r.alarm.runner = r
		s.coming.push(r)
		s.count[booting]++
		s.beganSum += now
		s.demand.pay(now, s.bootEvery())
		s.noteRunner(now, RunnerBooting, r, nil)
		s.do(action{kind: boot, r: r})
		if s.demand.failed+s.demand.crashes > 0 { // the next one a while later, whatever becomes of this one
			s.backOff(now)
		}
	}
}

// backOff puts the next boot off, the longer the more have failed in a row.
func (s *state) backOff(now time.Duration) {
	n := s.demand.failed + s.demand.crashes
	backoff := min(lastBackoff, firstBackoff<<min(n-1, 10))
	s.demand.retryAt = now + backoff/2 + time.Duration(s.jitter()*float64(backoff/2))
}

// lacksRunner says whether the line, min or headroom asks for one more boot, and there may be one.
func (s *state) lacksRunner() bool {
	up := s.count[booting] + s.count[ready]
	if s.closed || up+s.count[draining] >= s.max {
		return false
	}
	slots := s.count[booting] * s.slots
	if s.line.n > slots {
		return true
	}
	if s.closing || s.count[booting] >= together {
		return false
	}
	return up < s.min-s.asleep || s.free.slots+slots-s.line.n < s.headroom
}

func (s *state) move(r *runner, to stage) {
	s.count[r.stage]--
	s.count[to]++
	r.stage = to
}

// bury moves a runner that is gone.
func (s *state) bury(r *runner, now time.Duration) {
	s.move(r, gone)
	s.count[gone] = 0
	s.lived += now - r.began
	s.beganSum -= r.began
}

// up notes that a runner is ready for calls, unless it was told to leave meanwhile.
func (s *state) up(r *runner, now time.Duration) {
	if r.stage != booting {
		return
	}
	if s.count[ready] == 0 {
		s.demand.readyAt = now
	}
	s.coming.remove(r)
	s.move(r, ready)
	s.demand.failed, s.demand.failure = 0, nil
	if s.demand.crashes == 0 {
		s.demand.retryAt = 0
	}
	r.joined, r.idleSince, r.quietSince = now, now, now
	if s.maxAge > 0 { // what came together need not leave together
		s.alarms.set(&r.alarm, now+s.maxAge-time.Duration(s.jitter()*float64(s.maxAge/10)))
	}
	s.free.add(r)
	s.noteRunner(now, RunnerUp, r, nil)
	s.settle(now)
}

// bootFailed notes that a runner did not come up, and is gone.
func (s *state) bootFailed(r *runner, err error, now time.Duration) {
	if r.stage == draining { // nobody waited for it any more
		s.ended(r, err, now)
		return
	}
	s.coming.remove(r)
	s.bury(r, now)
	s.noteRunner(now, BootFailed, r, err)
	s.demand.failure, s.demand.last = err, err
	if r.failedBefore == s.demand.failed { // else it is one of a burst, of which another has failed already
		s.demand.failed++
		s.backOff(now)
	}
	if s.demand.failed >= patience && s.count[ready] == 0 && s.count[booting] == 0 {
		s.failAll(err, now)
	}
	s.settle(now)
}

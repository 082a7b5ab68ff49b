package pool

import (
	"time"

	"github.com/fleetinglambda/flame/internal/session"
)

// hold gives a call its outcome, which holds the slot on: no longer until its deadline, but until what the function has
// returned is closed. It says whether it does: nobody closes what nobody gets.
func (s *state) hold(c *Call, now time.Duration) bool {
	if c.phase != granted || !c.sent || c.held {
		return false
	}
	if c.answered {
		if !c.cut {
			s.awaitEnd(c, now)
		}
		return false
	}
	c.answered, c.held, c.deadline = true, true, 0
	s.held++
	c.runner.held++
	s.alarms.unset(&c.alarm)
	s.spend(c, now)
	s.note(now, CallHeld, c, c.runner, nil)
	return true
}

// endHeld has what a call holds end, because of its context.
func (s *state) endHeld(c *Call, cause error, now time.Duration) {
	err := &TimeoutError{Cause: cause, Queued: c.Queued, Booting: c.Booting, Running: c.Running, Started: true}
	s.do(action{kind: cut, c: c, r: c.runner, err: err})
	s.awaitEnd(c, now)
}

// held is told by the session that c's function has returned something that stays on its runner.
func (p *Pool) held(c *Call, l *live, remote *session.Call, reply []byte) {
	kept := false
	p.event(nil, func(now time.Duration) {
		if c.deadline > 0 && now >= c.deadline { // the timer is late
			p.state.cancel(c, errDeadline, now)
		}
		if kept = p.state.hold(c, now); kept {
			c.Reply, c.Held, c.done = reply, true, true
			c.wakeLocked()
		}
	})
	switch {
	case !kept:
		l.session.Cancel(remote)
	case !c.synced:
		c.Ended(c)
	}
}

// close tells once that what c holds is of no more use.
func (p *Pool) close(c *Call, last []byte, err error) {
	p.mu.Lock()
	first := c.Held && !c.closed
	c.closed = true
	unhook := c.unhook
	p.mu.Unlock()
	if !first {
		return
	}
	if unhook != nil {
		unhook()
	}
	c.Closed(c, last, err)
}

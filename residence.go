package flame

import (
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/fleetinglambda/flame/internal/codec"
	"github.com/fleetinglambda/flame/internal/lend"
	"github.com/fleetinglambda/flame/internal/pool"
	"github.com/fleetinglambda/flame/internal/session"
)

// residences are where the function of one Map stays: the sessions of the runners that items were sent to.
type residences struct {
	number  uint64 // of the function on each of them
	message codec.Message
	spread  lend.Spread
	lends   bool // what it has captured

	living sync.Mutex // guards what follows; never held while anything is sent
	by     map[*session.Session]*residence
	former []*lend.Desk // whose last records may not be delivered
	left   bool         // the Map is over
}

// residence is the function on one runner.
type residence struct {
	call session.Call
	desk *lend.Desk
	sent chan struct{} // closed when it was sent, or could not be
}

// copyFunction copies what is sent to each runner.
func (m *mapping) copyFunction() (err error) {
	p := m.call.pool
	m.number = p.mappings.Add(1)
	m.by = make(map[*session.Session]*residence)
	m.spread.Context, m.spread.Owner, m.spread.Limit = m.ctx, lender{&m.call, m}, p.config.MessageLimit
	m.message, err = codec.Encode(&m.call.crossing, codec.Options{
		Limit: p.config.MessageLimit, Snapshot: true, Lender: &m.spread, Notice: &m.call,
	})
	m.lends = m.spread.Lent()
	return err
}

// lender is the owner of what the function has captured and is lent.
type lender struct {
	*sending
	mapping *mapping
}

// Fail ends the Map because of what its function did with something that was lent to it.
func (l lender) Fail(err error) { l.mapping.stop(&TimeoutError{cause: err}, err) }

// errOver is the error of an item that is about to be sent when its Map is over. It has its outcome already.
var errOver = errors.New("its Map is over")

// bring sends the function to a runner that does not have it. If that fails, so will the item that comes after it.
func (m *mapping) bring(c *pool.Call, s *session.Session) error {
	m.living.Lock()
	r := m.by[s]
	first := r == nil && !m.left
	if first {
		r = &residence{desk: m.spread.Desk(), sent: make(chan struct{})}
		m.by[s] = r
	}
	m.living.Unlock()
	if r == nil {
		return errOver
	}
	if first {
		m.settle(s, r, c.Runner)
	}
	<-r.sent
	return nil
}

// settle sends the function to a runner. The items share its loggers: of which one a record is, only its context says.
func (m *mapping) settle(s *session.Session, r *residence, runner string) {
	defer close(r.sent)
	r.call.Resident, r.call.Key, r.call.Attempt = true, m.number, 1
	r.call.Ended = func(session.Result) { m.moveOut(s, r) }
	if r.desk.Lent() {
		r.call.Noted = r.desk.Noted
		r.desk.Send(lend.Mark{Pool: m.call.pool.config.Name, Runner: runner, Number: s.NumberOf})
	}
	var left time.Duration
	if d, ok := m.ctx.Deadline(); ok {
		left = max(1, time.Until(d))
	}
	if err := s.Send(&r.call, m.message, left); err != nil {
		m.moveOut(s, r)
		return
	}
	if r.desk.Lent() {
		r.desk.Bind(func(note []byte) { s.Note(&r.call, note) })
	}
}

// moveOut notes that the function does not stay with a runner any more.
func (m *mapping) moveOut(s *session.Session, r *residence) {
	r.desk.Close()
	m.living.Lock()
	defer m.living.Unlock()
	delete(m.by, s)
	if r.desk.Lent() && !m.left {
		m.former = append(m.former, r.desk)
	}
}

// delivered waits until what functions have logged so far is delivered.
func (m *mapping) delivered() {
	if !m.lends {
		return
	}
	m.living.Lock()
	desks := m.former
	m.former = nil
	for _, r := range m.by {
		desks = append(desks, r.desk)
	}
	m.living.Unlock()
	for _, d := range desks {
		d.Wait(m.ctx)
	}
}

// leave has the function stay nowhere.
func (m *mapping) leave() {
	m.living.Lock()
	m.left = true
	by := maps.Clone(m.by)
	former := m.former
	m.living.Unlock()
	for s, r := range by {
		<-r.sent
		s.Cancel(&r.call)
		s.Release(&r.call)
		r.desk.Close()
		former = append(former, r.desk)
	}
	for _, d := range former {
		d.Wait(m.ctx)
	}
}

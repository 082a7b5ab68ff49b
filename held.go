package flame

import (
	"errors"

	"github.com/fleetinglambda/flame/internal/pool"
)

// readHeld is read for a result that holds its slot. From then on nothing of the call refers to the result, so that it
// is noticed when the program loses it.
func (p *Pool) readHeld(c *sending, result any) error {
	c.crossing, c.call.Encode, c.call.Ended = nil, nil, nil
	err := p.readReply(&c.call, result, &c.held)
	c.call.Reply = nil
	if err != nil || !c.held.Any() { // nobody can close it
		p.pool.Cancel(&c.call, errors.Join(errNobodyHolds, err))
	}
	return err
}

var errNobodyHolds = errors.New("flame: there is nothing in the result to be closed")

// closed is called when what the result holds was closed, or cannot be used any more. It may be called while that is being
// used, which is why it does not wait.
func (c *sending) closed(call *pool.Call, last []byte, err error) {
	c.desk.Close()
	c.Go(func() { c.held.End(c.why(call, last, err)) })
}

// why says why what a result holds cannot be used any more; nil if it was closed.
func (c *sending) why(call *pool.Call, last []byte, err error) error {
	late := new(pool.TimeoutError)
	switch {
	case errors.As(err, &late):
		return late.Cause
	case err != nil:
		return atRim(c.pool.config.Name, err)
	case len(last) == 0:
		return nil
	}
	return readAnswer(last, call.Runner, nil, nil)
}

// Abandoned warns of something that was not closed, once for each result.
func (c *sending) Abandoned() {
	c.Go(func() {
		c.pool.config.Logger.Warn("flame: a result was lost without being closed; it held a slot until now: close what a call returns",
			"pool", c.pool.config.Name, "runner", c.call.Runner, "function", functionName(c.call.Key))
	})
}

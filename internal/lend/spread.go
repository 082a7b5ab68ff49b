package lend

import (
	"context"
	"errors"
	"reflect"
)

// Spread lends the same things to several runners, through a Desk for each. It is used by one goroutine at a time. Context,
// Owner and Limit are those of the Desks.
type Spread struct {
	Context context.Context
	Owner   Owner
	Limit   int64

	things []spread
}

// spread is one variable that is lent.
type spread struct {
	value any
	as    reflect.Type
}

// errSpread is about what only one can use.
var errSpread = errors.New("the function goes to several runners, and only one can use it: open it inside the function, or have each input bring its own")

// Lend is for the codec. The message can be sent to any number of runners.
func (s *Spread) Lend(v any, as reflect.Type) ([]byte, error) {
	switch kindOf(v, as) {
	case aContext, aLogger, aLineLogger, aSender:
	default:
		return nil, errSpread
	}
	d := s.Desk()
	defer d.Close()
	ref, err := d.Lend(v, as)
	if err == nil {
		s.things = append(s.things, spread{v, as})
	}
	return ref, err
}

// Lent says whether anything was.
func (s *Spread) Lent() bool { return len(s.things) > 0 }

// Desk returns a Desk for one more runner. What is lent has the numbers there that it has in the message.
func (s *Spread) Desk() *Desk {
	d := &Desk{Context: s.Context, Owner: s.Owner, Limit: s.Limit}
	for _, t := range s.things {
		_, _ = d.Lend(t.value, t.as) // it could be lent before
	}
	return d
}

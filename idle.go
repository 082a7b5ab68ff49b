package flame

import (
	"context"
	"fmt"

	"github.com/fleetinglambda/flame/internal/codec"
	"github.com/fleetinglambda/flame/internal/runner"
	"github.com/fleetinglambda/flame/internal/session"
)

// idleCheck returns how a runner is asked whether it is idle: it is sent the Config's IdleCheck, outside its slots.
func idleCheck(c Config) (func(context.Context, *session.Session) (bool, error), error) {
	check := c.IdleCheck
	var f runner.Function = function[bool]{func(context.Context) (bool, error) { return check(), nil }}
	msg, err := codec.Encode(&f, codec.Options{Limit: c.MessageLimit, Snapshot: true})
	if err != nil {
		return nil, fmt.Errorf("flame: Config.IdleCheck: %w", atRim(c.Name, err))
	}
	return func(ctx context.Context, s *session.Session) (idle bool, err error) {
		answered := make(chan session.Result, 1)
		call := &session.Call{Ended: func(r session.Result) { answered <- r }}
		if err := s.Send(call, msg, 0); err != nil {
			return false, err
		}
		select {
		case r := <-answered:
			if r.Lost {
				return false, fmt.Errorf("ask whether it is idle: its session is over")
			}
			return idle, readAnswer(r.Data, "", &idle, nil)
		case <-ctx.Done():
			s.Cancel(call)
			s.Release(call)
			return false, context.Cause(ctx)
		}
	}, nil
}

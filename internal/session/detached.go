package session

import "context"

// startAlone runs a call that goes on when the session is over.
func (v *Server) startAlone(in *Incoming) {
	in.over = make(chan struct{})
	v.mu.Lock()
	in.alone = !v.over
	v.mu.Unlock()
	if !in.alone {
		in.ctx.endFor(context.Canceled, v.lostCause(), nil)
	}
	v.wg.Go(func() {
		defer close(in.over)
		v.run(in)
	})
}

// Finish waits, after Serve, until the calls that are detached are over. When ctx ends, so do their contexts.
func (v *Server) Finish(ctx context.Context) {
	v.keepDeadlines() // Serve has stopped the timer
	defer v.deadlines.Stop()
	for _, in := range v.remaining() {
		select {
		case <-in.over:
		case <-ctx.Done():
			in.ctx.endFor(context.Canceled, v.lostCause(), nil)
		}
	}
}

// remaining returns the calls that are not over.
func (v *Server) remaining() (calls []*Incoming) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, in := range v.live {
		if in.alone {
			calls = append(calls, in)
		}
	}
	return calls
}

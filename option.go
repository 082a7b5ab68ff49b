package flame

import (
	"errors"
	"fmt"
	"time"
)

// Option changes one call. Of two that say the same thing differently, the last one counts.
type Option func(*sending)

// Timeout bounds the call, waiting and running together, instead of the pool's Timeout. Zero or less: no bound.
func Timeout(d time.Duration) Option {
	return func(c *sending) { c.call.Timeout = max(d, 0) }
}

// Detach has the function go on when its caller is gone: when ctx ends, and even when the parent's process dies, though not
// beyond the pool's ShutdownTimeout from then on. Its slot is held until it is over. A Call returns when ctx ends
// nevertheless. The call's timeout, [Task.Cancel], [Placement.Stop] and the pool's Close end it as ever.
func Detach() Option {
	return func(c *sending) {
		if c.call.Detached, c.call.Survives = true, true; c.each {
			c.wrong = append(c.wrong, errors.New("flame: Detach is not for Map: leaving its loop ends what it has begun"))
		}
	}
}

// Retry has the call run up to n more times if its runner is lost while it runs. The runner may still be finishing
// the run before, so the function must be one that can run twice, even at once. [Attempt] tells it which run it is.
// The one deadline holds for all of them, and a captured reader, which can be read once, is refused. A call that had certainly not started is moved to another runner
// without it.
func Retry(n int) Option {
	return func(c *sending) {
		if c.call.Retry = n; n < 0 {
			c.wrong = append(c.wrong, fmt.Errorf("flame: Retry(%d): it must be 0 or more", n))
		}
	}
}

// Priority puts the call in line before all that have a lower one, and behind those that have the same and came before
// it. The default is 0, and n may be negative. It does not take a slot from a call that has one.
func Priority(n int) Option {
	return func(c *sending) { c.call.Priority = n }
}

package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fleetinglambda/flame"
)

// trial is one act: what its caller asks for, and what its function is going to do. Functions capture what they need of it.
type trial struct {
	what    string
	number  int
	begun   time.Time
	timeout time.Duration
	cancel  time.Duration // after which its caller goes; 0: never
	retries int

	takes time.Duration // the function
	heeds bool          // the end of its context
	size  int           // of what goes to and fro
	parts int
	bad   int // the part at which something goes wrong, if that is planned
	plan  int // which of the ways that an act has
}

// errPlanned is what functions fail with, and readers.
var errPlanned = errors.New("planned")

func (l *Load) trial() trial {
	l.number++
	tr := trial{
		number: l.number, begun: time.Now(), timeout: l.Timeout, takes: l.UpTo(l.Longest),
		heeds: !l.Stubborn || l.Rand.IntN(6) > 0, size: l.Rand.IntN(1 << l.Rand.IntN(18)), parts: l.Rand.IntN(40), plan: l.Rand.IntN(1 << 20),
	}
	if l.Rand.IntN(2) == 0 {
		tr.timeout = l.UpTo(30*time.Second) + l.Grid
	}
	if l.Rand.IntN(4) == 0 {
		tr.cancel = l.UpTo(10*time.Second) + l.Grid
	}
	if l.Rand.IntN(4) == 0 {
		tr.retries = l.Rand.IntN(3)
	}
	tr.bad = l.Rand.IntN(2*tr.parts + 1)
	return tr
}

// context is that of the caller.
func (tr trial) context() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	if tr.cancel > 0 {
		gone := time.AfterFunc(tr.cancel, cancel)
		return ctx, func() { gone.Stop(); cancel() }
	}
	return ctx, cancel
}

func (tr trial) options(more ...flame.Option) []flame.Option {
	return append([]flame.Option{flame.Timeout(tr.timeout), flame.Priority(tr.plan % 3)}, more...)
}

func (l *Load) describe(tr trial) string {
	tr.begun = time.Time{}
	return fmt.Sprintf("%+v", tr)
}

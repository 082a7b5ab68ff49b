package simulation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/flametest"
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

func (w *world) trial() trial {
	w.number++
	tr := trial{
		number: w.number, begun: time.Now(), timeout: w.config.Timeout, takes: w.upTo(longest - step),
		heeds: w.IntN(6) > 0, size: w.IntN(1 << w.IntN(18)), parts: w.IntN(40), plan: w.IntN(1 << 20),
	}
	if w.IntN(2) == 0 {
		tr.timeout = w.upTo(30*time.Second) + step
	}
	if w.IntN(4) == 0 {
		tr.cancel = w.upTo(10*time.Second) + step
	}
	if w.IntN(4) == 0 {
		tr.retries = w.IntN(3)
	}
	tr.bad = w.IntN(2*tr.parts + 1)
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

// slack is how long a caller waits at the deadline for what uses its own reader or writer.
const slack = 100 * time.Millisecond

// judge looks at an outcome. planned says whether the function's own error, or its panic, is what was planned. It returns
// whether the call has a result.
func (w *world) judge(tr trial, err error, planned func(error) bool) bool {
	kind := w.kind(tr, err, planned)
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[kind]++
	w.told[tr.number] = verdict{ran: err == nil || flame.Ran(err), retries: tr.retries, err: err}
	switch end := tr.begun.Add(tr.timeout); {
	case kind == "wrong":
		w.wrong = append(w.wrong, "act "+w.describe(tr)+": "+err.Error())
	case tr.timeout > 0 && now.After(end.Add(slack)):
		w.wrong = append(w.wrong, "act "+w.describe(tr)+": its caller waited beyond the deadline, by "+now.Sub(end).String())
	}
	return err == nil
}

// kind names an outcome, "wrong" if there is no reason for it.
func (w *world) kind(tr trial, err error, planned func(error) bool) string {
	w.mu.Lock()
	closing, loses := w.closing, w.loses
	w.mu.Unlock()
	var (
		late   *flame.TimeoutError
		lost   *flame.RunnerLostError
		boot   *flame.BootError
		panics *flame.PanicError
		remote *flame.RemoteError
	)
	after := time.Since(tr.begun)
	switch {
	case err == nil:
		return "done"
	case errors.As(err, &late):
		return right("timeout", after >= tr.timeout || tr.cancel > 0 && after >= tr.cancel)
	case errors.As(err, &lost):
		stuck := lost.Stacks != nil || w.config.KillGrace > 0
		return right("lost", loses || closing || stuck || w.faults.Stalls > 0)
	case errors.As(err, &boot):
		return right("no boot", errors.Is(err, flametest.ErrNoBoot) || w.faults.BootHangs > 0 || loses || w.faults.StallTime > 0)
	case errors.As(err, &panics):
		return right("panic", planned != nil && planned(err))
	case errors.As(err, &remote):
		return right("failed", planned != nil && planned(err))
	case errors.Is(err, flame.ErrPoolClosed):
		return right("closed", closing)
	case errors.Is(err, flame.ErrQueueFull):
		return "queue full"
	default:
		return "wrong"
	}
}

func right(kind string, is bool) string {
	if is {
		return kind
	}
	return "wrong"
}

func (w *world) describe(tr trial) string {
	tr.begun = time.Time{}
	return fmt.Sprintf("%+v", tr)
}

package load

import (
	"errors"
	"time"

	"github.com/fleetinglambda/flame"
)

// judge looks at an outcome. planned says whether the function's own error, or its panic, is what was planned. It returns
// whether the call has a result.
func (l *Load) judge(tr trial, err error, planned func(error) bool) bool {
	kind := l.kind(tr, err, planned)
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[kind]++
	l.told[tr.number] = verdict{ran: err == nil || flame.Ran(err), retries: tr.retries, err: err}
	switch end := tr.begun.Add(tr.timeout); {
	case kind == "wrong":
		l.wrong = append(l.wrong, "act "+l.describe(tr)+": "+err.Error())
	case tr.timeout > 0 && now.After(end.Add(l.Slack)):
		l.wrong = append(l.wrong, "act "+l.describe(tr)+": its caller waited beyond the deadline, by "+now.Sub(end).String())
	}
	return err == nil
}

// kind names an outcome, "wrong" if there is no reason for it.
func (l *Load) kind(tr trial, err error, planned func(error) bool) string {
	l.mu.Lock()
	expect := l.expect
	l.mu.Unlock()
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
		hangs := l.Prompt && late.Running > 2*tr.takes+time.Second
		return right("timeout", !hangs && (after >= tr.timeout || tr.cancel > 0 && after >= tr.cancel))
	case errors.As(err, &lost):
		return right("lost", expect&(Loss|Closing) != 0)
	case errors.As(err, &boot):
		return right("no boot", expect&NoBoot != 0)
	case errors.As(err, &panics):
		return right("panic", planned != nil && planned(err))
	case errors.As(err, &remote):
		return right("failed", planned != nil && planned(err))
	case errors.Is(err, flame.ErrPoolClosed):
		return right("closed", expect&Closing != 0)
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

//go:build linux

package flame_test

import (
	"context"
	"errors"
	"io"
	"os"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
)

// says checks the first line of an error.
func says(t *testing.T, err error, pattern string) {
	t.Helper()
	if err == nil || !regexp.MustCompile(`^flame: `+pattern+`(\n|$)`).MatchString(err.Error()) {
		t.Errorf("%v\nis not: %s", err, pattern)
	}
}

const spent = ` \(queued [^,]+, booting [^,]+, running [^,]+\)`

func TestACallThatIsGivenUpSaysWhyAndWhetherItsFunctionRan(t *testing.T) {
	p, _ := open(t, flame.Config{Max: 1, MaxConcurrency: 1})
	n, why := listen(t), errors.New("the visitor has gone")
	addr := n.addr
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	nothing := func(context.Context) (int, error) { return 0, nil }
	running := flame.Start(ctx, p, func(ctx context.Context) (int, error) {
		err := tell(addr, "begun")
		<-ctx.Done()
		return 0, err
	})
	n.next(t)
	waiting := flame.Start(ctx, p, nothing)
	settle(t, func() bool { return p.Stats().Waiting == 1 }, func() string { return "it does not wait" })
	cancel()
	_, err := running.Wait(t.Context())
	says(t, err, `call ended while its function ran: its caller has cancelled it`+spent)
	_, err = waiting.Wait(t.Context())
	says(t, err, `call ended before its function ran: its caller has cancelled it`+spent)
	for cause, pattern := range map[error]string{why: why.Error(), context.Canceled: "its caller has cancelled it"} {
		gone, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		_, err = flame.Call(gone, p, nothing)
		says(t, err, `call ended before its function ran: `+pattern+spent)
	}
	err = flame.Run(t.Context(), p, func(ctx context.Context) error { <-ctx.Done(); return nil }, flame.Timeout(30*time.Millisecond))
	says(t, err, `call ended while its function ran: its deadline has passed`+spent)
}

func TestACallWhoseRunnerIsLostSaysHow(t *testing.T) {
	isolations(t, func(t *testing.T, c flame.Config) {
		p, _ := open(t, c)
		lost := func(how string) string {
			if c.Isolation == flame.PerCall {
				return `the call's own process on runner \S+ was lost with a call, whose function may have run: ` + how
			}
			return `runner \S+ was lost with a call, whose function may have run: ` + how
		}
		says(t, flame.Run(t.Context(), p, func(context.Context) error { os.Exit(3); return nil }), lost("exit code 3"))
		says(t, flame.Run(t.Context(), p, func(context.Context) error { return syscall.Kill(os.Getpid(), syscall.SIGKILL) }), lost("killed by signal: killed"))
		err := flame.Run(t.Context(), p, func(context.Context) error { os.Exit(0); return nil })
		says(t, err, lost(`.*exit code 0`))
	})
	p, w, _ := wired(t, cutOff)
	pid(t, p)
	w.cutAfter(0, 0)
	err := flame.Run(t.Context(), p, func(context.Context) error { return nil })
	says(t, err, `runner \S+ was lost with a call, whose function may have run: its connection is over \(.+\), and so is it: exit code 0`)
	var e *flame.RunnerLostError
	if !errors.As(err, &e) || e.ExitCode != 0 || errors.Is(err, io.EOF) {
		t.Errorf("%+v", e)
	}
}

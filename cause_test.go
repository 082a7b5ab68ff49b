//go:build linux

package flame_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
)

var errRecalled = errors.New("recalled")

// userError is a cause of a program's own type.
type userError struct{ ID int }

func (e *userError) Error() string { return fmt.Sprintf("user %d has left", e.ID) }

// opaqueError cannot cross.
type opaqueError struct{ c chan int }

func (e *opaqueError) Error() string { return "of its own kind" }

func TestN17_TheCauseOfACancelledCallCrosses(t *testing.T) {
	for name, c := range map[string]flame.Config{"Shared": {}, "PerCall": {Isolation: flame.PerCall}} {
		t.Run(name, func(t *testing.T) {
			p, _ := open(t, c)
			for want, cause := range map[string]error{
				"recalled; is errRecalled":            errRecalled,
				"for you: user 7 has left; of user 7": fmt.Errorf("for you: %w", &userError{7}),
				"EOF":                                 io.EOF,
				"of its own kind":                     &opaqueError{},
				"context canceled":                    nil,
			} {
				n := listen(t)
				addr := n.addr
				ctx, cancel := context.WithCancelCause(t.Context())
				task := flame.Start(ctx, p, func(own context.Context) (int, error) {
					if err := tell(addr, "begun"); err != nil {
						return 0, err
					}
					derived, stop := context.WithCancel(own)
					defer stop()
					<-derived.Done()
					return 0, tell(addr, told(context.Cause(own), context.Cause(derived), own.Err()))
				})
				n.next(t)
				cancel(cause)
				if got := n.next(t); got != want {
					t.Errorf("%q instead of %q", got, want)
				}
				if _, err := task.Wait(t.Context()); cause != nil && !errors.Is(err, cause) {
					t.Errorf("the caller gets %v", err)
				}
			}
		})
	}
}

// told says what is known of a cause on the runner.
func told(cause, derived, err error) string {
	text := cause.Error()
	if errors.Is(cause, errRecalled) {
		text += "; is errRecalled"
	}
	if user, ok := errors.AsType[*userError](cause); ok {
		text += fmt.Sprint("; of user ", user.ID)
	}
	if derived != cause || err != context.Canceled {
		text += fmt.Sprint("; but ", derived, " and ", err)
	}
	return text
}

func TestN17_ADeadlineIsTheCauseOfItself(t *testing.T) {
	p, _ := open(t, flame.Config{})
	n := listen(t)
	addr := n.addr
	flame.Run(t.Context(), p, func(own context.Context) error {
		<-own.Done()
		return tell(addr, fmt.Sprint(context.Cause(own) == context.DeadlineExceeded))
	}, flame.Timeout(50*time.Millisecond))
	if got := n.next(t); got != "true" {
		t.Error(got)
	}
}

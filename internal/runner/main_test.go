//go:build linux

package runner

import (
	"context"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/backend/process"
	"github.com/fleetinglambda/flame/internal/codec"
	"github.com/fleetinglambda/flame/internal/image"
	"github.com/fleetinglambda/flame/internal/session"
)

func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0") // of runners: with the race detector, every exit would take a second
	if i, ok, err := Invitation(); ok || err != nil {
		os.Exit(Main(i, nil))
	}
	os.Exit(m.Run())
}

// welcome is what the parents of these tests say.
func welcome(t *testing.T) session.Welcome {
	t.Helper()
	im, err := image.Self()
	if err != nil {
		t.Fatal(err)
	}
	return session.Welcome{Build: im.Build(), Names: Names(), Message: 1 << 20, Silence: 15 * time.Second}
}

// inside returns a session with a runner in this very process.
func inside(t *testing.T) *session.Session {
	t.Helper()
	parent, runner := net.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() {
		if j, err := Join(t.Context(), runner, "r-1"); err != nil {
			t.Error(err)
		} else {
			j.Serve()
			j.Wait()
		}
	})
	s, err := session.Accept(t.Context(), parent, "r-1", welcome(t), session.DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		wg.Wait()
	})
	return s
}

// withSlots returns a session with a runner that has processes for calls.
func withSlots(t *testing.T, slots int, grace time.Duration) (*session.Session, backend.Instance) {
	t.Helper()
	i := Invite{Parent: "p", Pool: "test", Runner: "r-1", Backend: "process"}
	inst, err := process.New(process.Options{Output: t.Output()}).Boot(t.Context(), backend.Spec{
		ID: i.Runner, Path: image.Path, Args: os.Args, Env: append(os.Environ(), i.Variable()),
	})
	if err != nil {
		t.Fatal(err)
	}
	w := welcome(t)
	w.Slots, w.Grace = slots, grace
	s, err := meet(t.Context(), inst, i.Runner, w)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		inst.Stop(context.Background())
	})
	return s, inst
}

// function is what these tests have run.
type function struct {
	fn func(context.Context) (string, error)
}

// Run runs it.
func (f function) Run(ctx context.Context) (any, error) {
	text, err := f.fn(ctx)
	return &text, err
}

// start sends fn to a runner; the answer comes over the channel.
func start(t *testing.T, s *session.Session, left time.Duration, fn func(context.Context) (string, error)) (*session.Call, chan session.Result) {
	t.Helper()
	var f Function = function{fn}
	msg, err := codec.Encode(&f, codec.Options{Snapshot: true})
	if err != nil {
		t.Fatal(err)
	}
	answer := make(chan session.Result, 1)
	c := &session.Call{Ended: func(r session.Result) { answer <- r }}
	if err := s.Send(c, msg, left); err != nil {
		t.Fatal(err)
	}
	return c, answer
}

func TestARunnerWhoseParentLeavesWhileItBootsSaysSoInOneLine(t *testing.T) {
	for range 5 {
		i := Invite{Parent: "p", Pool: "test", Runner: "r-1", Backend: "process"}
		inst, err := process.New(process.Options{Output: t.Output()}).Boot(t.Context(), backend.Spec{
			ID: i.Runner, Path: image.Path, Args: os.Args, Env: append(os.Environ(), i.Variable()),
		})
		if err != nil {
			t.Fatal(err)
		}
		inst.(backend.Connected).Conn().Close()
		<-inst.Done()
		if got := string(inst.(backend.Teller).Output()); got != "flame: runner r-1: its parent has left while it booted: there is nothing to do\n" {
			t.Errorf("it says %q", got)
		}
	}
}

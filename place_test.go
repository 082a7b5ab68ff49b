//go:build linux

package flame_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
)

// watcher tells that it has begun, and how it ended, and runs until then.
func watcher(addr string) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := tell(addr, fmt.Sprint(os.Getpid())); err != nil {
			return err
		}
		<-ctx.Done()
		return errors.Join(tell(addr, "ended"), errors.New("was told to end"))
	}
}

func TestF01_PlacedWorkRunsUntilItIsStopped(t *testing.T) {
	p, _ := open(t, flame.Config{MaxConcurrency: 2})
	n := listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	w, err := flame.Place(ctx, p, watcher(n.addr))
	if err != nil {
		t.Fatal(err)
	}
	on := n.next(t)
	cancel() // it bounds only the wait for a slot
	if got := fmt.Sprint(pid(t, p)); got != on || w.Err() != nil {
		t.Errorf("on process %s, the runner is %s: %v", on, got, w.Err())
	}
	if s := p.Stats(); s.Running != 1 || len(s.Runners) != 1 || s.Runners[0].ID != w.Runner() {
		t.Errorf("runner %q, %+v", w.Runner(), s)
	}
	if err := w.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if end := n.next(t); end != "ended" {
		t.Errorf("the function says %q", end)
	}
	<-w.Done()
	var remote *flame.RemoteError
	if err := w.Err(); !errors.As(err, &remote) || err.Error() != "was told to end" {
		t.Errorf("got %v", err)
	}
	if err := w.Stop(t.Context()); err != nil {
		t.Errorf("stopped twice: %v", err)
	}
	if s := p.Stats(); s.Running != 0 {
		t.Errorf("it still holds a slot: %+v", s)
	}
}

func TestF01_PlacedWorkThatIsNotStoppedInTime(t *testing.T) {
	p, _ := open(t, flame.Config{KillGrace: time.Hour})
	n := listen(t)
	addr := n.addr
	w, err := flame.Place(t.Context(), p, func(context.Context) error { return hold(addr) })
	if err != nil {
		t.Fatal(err)
	}
	n.next(t)
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Millisecond, errors.New("too slow"))
	defer cancel()
	if err := w.Stop(ctx); err == nil || err.Error() != "too slow" {
		t.Errorf("got %v", err)
	}
	<-w.Done()
	var late *flame.TimeoutError
	if !errors.As(w.Err(), &late) || !late.Started {
		t.Errorf("got %v", w.Err())
	}
	n.release()
}

func TestF01_PlacedWorkOfALostRunner(t *testing.T) {
	p, r := open(t, flame.Config{})
	n := listen(t)
	w, err := flame.Place(t.Context(), p, watcher(n.addr))
	if err != nil {
		t.Fatal(err)
	}
	n.next(t)
	kill(t, r.booted()[0])
	<-w.Done()
	var lost *flame.RunnerLostError
	if !errors.As(w.Err(), &lost) || !lost.Started || lost.Signal != syscall.SIGKILL || lost.Runner != w.Runner() {
		t.Errorf("got %v", w.Err())
	}
	w, err = flame.Place(t.Context(), p, watcher(n.addr), flame.Retry(1))
	if err != nil {
		t.Fatal(err)
	}
	n.next(t)
	first := w.Runner()
	kill(t, r.booted()[1])
	n.next(t)
	settle(t, func() bool { return w.Runner() != first }, func() string { return "it is still on " + first })
	if w.Err() != nil {
		t.Errorf("it runs again: %v", w.Err())
	}
}

func TestF01_PlaceWaitsForASlot(t *testing.T) {
	p, _ := open(t, flame.Config{MaxConcurrency: 1})
	n := listen(t)
	if _, err := flame.Place(t.Context(), p, watcher(n.addr)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	w, err := flame.Place(ctx, p, watcher(n.addr))
	if !errors.Is(err, context.DeadlineExceeded) || flame.Ran(err) || w != nil {
		t.Errorf("got %v", err)
	}
}

//go:build linux

package flame_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
)

func TestB04_ASingleUseRunnerServesOneCallAndNoneIsLost(t *testing.T) {
	p, _ := open(t, flame.Config{Max: 4, SingleUse: true, Timeout: -1})
	calls := 1000
	if testing.Short() {
		calls = 100
	}
	var tasks []*flame.Task[int]
	for range calls {
		tasks = append(tasks, flame.Start(t.Context(), p, func(context.Context) (int, error) { return os.Getpid(), nil }))
	}
	pids := make(map[int]bool)
	for _, task := range tasks {
		pid, err := task.Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		pids[pid] = true
	}
	if len(pids) != calls {
		t.Errorf("%d calls were served by %d processes", calls, len(pids))
	}
}

func TestF05_ARunnerThatSaysThatItIsNotIdleStays(t *testing.T) {
	busy := filepath.Join(t.TempDir(), "busy")
	if err := os.WriteFile(busy, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	asked := listen(t)
	addr := asked.addr
	p, _ := open(t, flame.Config{IdleShutdownAfter: 20 * time.Millisecond, IdleCheck: func() bool {
		_, err := os.Stat(busy)
		if err := tell(addr, "asked"); err != nil {
			return false
		}
		return err != nil
	}})
	first := pid(t, p)
	for range 3 {
		asked.next(t)
	}
	if got := pid(t, p); got != first {
		t.Errorf("process %d was replaced by %d", first, got)
	}
	if err := os.Remove(busy); err != nil {
		t.Fatal(err)
	}
	gone(t, first)
	settle(t, func() bool { return p.Stats().Gone == 1 }, func() string { return "the pool has it still" })
}

func TestF05_AnIdleCheckThatCannotCrossIsRefusedByOpen(t *testing.T) {
	c := make(chan bool, 1)
	_, err := flame.Open(t.Context(), flame.Config{IdleCheck: func() bool { return len(c) == 0 }})
	var send *flame.SendError
	if !errors.As(err, &send) || !strings.HasPrefix(err.Error(), "flame: Config.IdleCheck: ") {
		t.Errorf("got %v", err)
	}
}

func TestF05_RunnersOfMinMayLeaveAndComeBackWithTheNextCall(t *testing.T) {
	p, r := open(t, flame.Config{Min: 2, MinIdleShutdownAfter: 50 * time.Millisecond})
	settle(t, func() bool { return p.Stats().Ready == 0 }, func() string { return "runners of Min stay" })
	pid(t, p)
	settle(t, func() bool { return p.Stats().Boots == 4 && p.Stats().Ready+p.Stats().Draining <= 2 }, func() string { return "Min was not restored" })
	if n := len(r.booted()); n != 4 {
		t.Errorf("%d boots", n)
	}
}

func TestN09_AnOldRunnerIsReplaced(t *testing.T) {
	p, _ := open(t, flame.Config{Min: 1, Max: 2, MaxRunnerAge: 200 * time.Millisecond})
	first := pid(t, p)
	gone(t, first)
	if second := pid(t, p); second == first {
		t.Errorf("process %d has not been replaced", first)
	}
}

func TestN09_ResizeWhileCallsRun(t *testing.T) {
	p, _ := open(t, flame.Config{Max: 1, MaxConcurrency: 1, IdleShutdownAfter: -1})
	n := listen(t)
	addr := n.addr
	for range 3 {
		if err := flame.Cast(t.Context(), p, func(context.Context) error { return hold(addr) }); err != nil {
			t.Fatal(err)
		}
	}
	n.next(t)
	if err := p.Resize(1, 3); err != nil {
		t.Fatal(err)
	}
	n.next(t)
	n.next(t)
	if err := p.Resize(0, 1); err != nil {
		t.Fatal(err)
	}
	settle(t, func() bool { return p.Stats().Draining == 2 }, func() string { return "runners that are too many take calls" })
	if s := p.Stats(); s.Running != 3 {
		t.Errorf("calls were cut off: %+v", s)
	}
	n.release()
	settle(t, func() bool { return p.Stats().Ready == 1 && p.Stats().Draining == 0 }, func() string { return "they have not left" })
	for _, wrong := range [][2]int{{-1, 1}, {0, 0}, {2, 1}} {
		if err := p.Resize(wrong[0], wrong[1]); err == nil || !strings.Contains(err.Error(), "resize to between") {
			t.Errorf("%v: %v", wrong, err)
		}
	}
	p.Close()
	if err := p.Resize(0, 1); !errors.Is(err, flame.ErrPoolClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestN09_HeadroomIsBootedAhead(t *testing.T) {
	p, _ := open(t, flame.Config{Max: 3, MaxConcurrency: 1, Headroom: 1})
	settle(t, func() bool { return p.Stats().Ready == 1 }, func() string { return "no runner is kept ready" })
	n := listen(t)
	addr := n.addr
	if err := flame.Cast(t.Context(), p, func(context.Context) error { return hold(addr) }); err != nil {
		t.Fatal(err)
	}
	n.next(t)
	settle(t, func() bool { return p.Stats().Ready == 2 }, func() string { return "no other runner is kept ready" })
	n.release()
}

// spin is a function that ignores everything, for some centuries. It makes no system calls: in one, Go may take seconds to
// stop it and look at its stack.
func spin() error {
	for n := 0; ; n++ {
		if n < 0 {
			return nil
		}
	}
}

func TestN04_ARunnerWhoseFunctionDoesNotEndIsReplaced(t *testing.T) {
	p, _ := open(t, flame.Config{
		Max: 2, KillGrace: 50 * time.Millisecond, ShutdownTimeout: 200 * time.Millisecond,
	})
	n := listen(t)
	addr := n.addr
	neighbour := flame.Start(t.Context(), p, func(ctx context.Context) (int, error) {
		err := tell(addr, "here")
		<-ctx.Done()
		return 0, err
	})
	n.next(t)
	stuck := pid(t, p)
	err := flame.Run(t.Context(), p, func(context.Context) error {
		return spin()
	}, flame.Timeout(20*time.Millisecond))
	var late *flame.TimeoutError
	if !errors.As(err, &late) || !late.Started {
		t.Errorf("got %v", err)
	}
	settle(t, func() bool { return p.Stats().Draining == 1 }, func() string { return "its runner takes calls" })
	if next := pid(t, p); next == stuck {
		t.Error("a call was given to the runner")
	}
	_, err = neighbour.Wait(t.Context())
	var lost *flame.RunnerLostError
	if !errors.As(err, &lost) || !strings.Contains(err.Error(), "TestN04_ARunnerWhoseFunctionDoesNotEndIsReplaced") {
		t.Errorf("its neighbour's error does not name it: %v", err)
	}
	if lost != nil && !strings.Contains(string(lost.Stacks), "flame_test.spin") {
		t.Errorf("it does not say where the function is: %s", lost.Stacks)
	}
	gone(t, stuck)
}

func TestF09_PoolsWithOtherSettingsLiveSideBySide(t *testing.T) {
	once, _ := open(t, flame.Config{Max: 2, SingleUse: true})
	shared, _ := open(t, flame.Config{Min: 1, MaxConcurrency: 5})
	first, again := pid(t, once), pid(t, shared)
	if second := pid(t, once); second == first || second == again {
		t.Errorf("processes %d and %d of the one, %d of the other", first, second, again)
	}
	if other := pid(t, shared); other != again {
		t.Errorf("process %d was replaced by %d", again, other)
	}
	once.Close()
	if other := pid(t, shared); other != again {
		t.Errorf("the other pool's end made %d of %d", other, again)
	}
}

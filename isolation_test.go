//go:build linux

package flame_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
)

// perProcess is what every process of this program has its own of.
var perProcess struct{ seen int }

// perCall opens a pool whose one runner has slots processes for calls.
func perCall(t *testing.T, slots int, grace time.Duration) (*flame.Pool, *recorder) {
	t.Helper()
	return open(t, flame.Config{Isolation: flame.PerCall, MaxConcurrency: slots, KillGrace: grace, Timeout: patience})
}

// neighbour starts a call that runs until n releases it, and returns its process and that of its runner.
func neighbour(t *testing.T, p *flame.Pool, n *news) *flame.Task[[2]int] {
	t.Helper()
	addr := n.addr
	task := flame.Start(t.Context(), p, func(context.Context) ([2]int, error) {
		return [2]int{os.Getpid(), os.Getppid()}, hold(addr)
	})
	n.next(t)
	return task
}

// unharmed sees a neighbour go on to its end, on a runner whose process is the one that was booted first.
func unharmed(t *testing.T, task *flame.Task[[2]int], r *recorder) {
	t.Helper()
	got, err := task.Wait(t.Context())
	if err != nil || strconv.Itoa(got[1]) != r.booted()[0].ID() || strconv.Itoa(got[0]) == r.booted()[0].ID() {
		t.Errorf("the neighbour: %v, %v on runner %s", got, err, r.booted()[0].ID())
	}
	if n := len(r.booted()); n != 1 {
		t.Errorf("%d runners were booted", n)
	}
}

func TestN04_AnOverdueFunctionIsKilledAlone(t *testing.T) {
	p, r := perCall(t, 2, 20*time.Millisecond)
	n := listen(t)
	beside := neighbour(t, p, n)
	addr := n.addr
	start := time.Now()
	err := flame.Run(t.Context(), p, func(context.Context) error {
		tell(addr, strconv.Itoa(os.Getpid()))
		return spin()
	}, flame.Timeout(300*time.Millisecond))
	took := time.Since(start)
	var late *flame.TimeoutError
	if !errors.As(err, &late) || !late.Started || took > 5*time.Second {
		t.Errorf("after %v: %v", took, err)
	}
	busy, _ := strconv.Atoi(n.next(t))
	gone(t, busy)
	if after := pid(t, p); after == busy {
		t.Error("a call runs in the process that was killed")
	}
	n.release()
	unharmed(t, beside, r)
}

func TestN04_ACancelledFunctionThatHeedsItsContextKeepsItsProcess(t *testing.T) {
	p, r := perCall(t, 1, patience)
	n := listen(t)
	addr := n.addr
	for _, cancel := range []bool{true, false} {
		before := pid(t, p)
		ctx, stop := context.WithCancel(t.Context())
		task := flame.Start(ctx, p, func(ctx context.Context) (int, error) {
			tell(addr, strconv.Itoa(os.Getpid()))
			<-ctx.Done()
			tell(addr, ctx.Err().Error())
			return 0, ctx.Err()
		}, flame.Timeout(200*time.Millisecond))
		ran := n.next(t)
		want := context.DeadlineExceeded
		if cancel {
			stop()
			want = context.Canceled
		}
		if _, err := task.Wait(t.Context()); !errors.Is(err, want) {
			t.Errorf("%v instead of %v", err, want)
		}
		if got := n.next(t); got != want.Error() {
			t.Errorf("the function saw %q instead of %v", got, want)
		}
		if after := pid(t, p); after != before || strconv.Itoa(before) != ran {
			t.Errorf("processes %d, %s, %d", before, ran, after)
		}
		stop()
	}
	if len(r.booted()) != 1 {
		t.Error("the runner was replaced")
	}
}

func TestN04_ACrashTakesOnlyItsOwnCall(t *testing.T) {
	p, r := perCall(t, 2, time.Second)
	n := listen(t)
	beside := neighbour(t, p, n)
	var recurse func(int) int
	recurse = func(i int) int { return 1 + recurse(i+1) }
	for name, tc := range map[string]struct {
		die    func()
		code   int
		signal os.Signal
		output string
	}{
		"os.Exit":              {func() { fmt.Println("the last words"); os.Exit(3) }, 3, nil, "the last words"},
		"os.Exit 0":            {func() { os.Exit(0) }, 0, nil, ""},
		"kill -9":              {func() { syscall.Kill(os.Getpid(), syscall.SIGKILL); select {} }, -1, syscall.SIGKILL, ""},
		"stack overflow":       {func() { recurse(0) }, 2, nil, "stack overflow"},
		"concurrent map write": {writeTogether, 2, nil, "concurrent map"},
		"segmentation fault":   {func() { syscall.Kill(os.Getpid(), syscall.SIGSEGV); select {} }, 2, nil, "SIGSEGV"},
		"abort":                {func() { syscall.Kill(os.Getpid(), syscall.SIGABRT); select {} }, 2, nil, "SIGABRT"},
		"panic of a goroutine": {func() { var wg sync.WaitGroup; wg.Go(func() { panic("beside the call") }); wg.Wait() }, 2, nil, "beside the call"},
	} {
		die := tc.die
		err := flame.Run(t.Context(), p, func(context.Context) error { die(); return nil })
		var lost *flame.RunnerLostError
		if !errors.As(err, &lost) || !lost.Started || lost.ExitCode != tc.code || lost.Signal != tc.signal || lost.OOM || !bytes.Contains(lost.Output, []byte(tc.output)) {
			t.Errorf("%s: %v", name, err)
		} else if !strings.Contains(err.Error(), "own process") || !flame.Ran(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	n.release()
	unharmed(t, beside, r)
}

// writeTogether ends the process: the runtime sees two writers of a map.
func writeTogether() {
	m := map[int]int{}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				m[1]++
			}
		})
	}
	wg.Wait()
}

func TestN04_ProcessesAreUsedAgainAndNeverMoreThanSlots(t *testing.T) {
	p, _ := perCall(t, 3, time.Second)
	if a, b := pid(t, p), pid(t, p); a != b {
		t.Errorf("one call after another: processes %d and %d", a, b)
	}
	var mu sync.Mutex
	seen := map[int]int{}
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			for range 5 {
				got, err := flame.Call(t.Context(), p, func(context.Context) (int, error) { return os.Getpid(), nil })
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				seen[got]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) > 3 {
		t.Errorf("60 calls at 3 at a time ran in %d processes", len(seen))
	}
}

func TestN04_OneCallAtATimeInEachProcess(t *testing.T) {
	p, _ := perCall(t, 3, time.Second)
	n := listen(t)
	tasks := []*flame.Task[[2]int]{neighbour(t, p, n), neighbour(t, p, n), neighbour(t, p, n)}
	n.release()
	seen := map[int]bool{}
	for _, task := range tasks {
		got, err := task.Wait(t.Context())
		if err != nil || seen[got[0]] {
			t.Errorf("%v, %v", got, err)
		}
		seen[got[0]] = true
	}
}

func TestN04_AProcessWhoseFunctionPanickedIsReplaced(t *testing.T) {
	p, r := perCall(t, 1, time.Second)
	before := pid(t, p)
	err := flame.Run(t.Context(), p, func(context.Context) error { panic("no good") })
	var panicked *flame.PanicError
	if !errors.As(err, &panicked) || panicked.Value != "no good" {
		t.Errorf("%v", err)
	}
	if after := pid(t, p); after == before {
		t.Error("the process is used again")
	}
	gone(t, before)
	if len(r.booted()) != 1 {
		t.Error("the runner was replaced")
	}
}

func TestN04_AnIdleProcessThatWasKilledIsReplacedUnseen(t *testing.T) {
	p, _ := perCall(t, 1, time.Second)
	before := pid(t, p)
	syscall.Kill(before, syscall.SIGKILL)
	gone(t, before)
	for range 20 { // the runner may not have noticed
		got, err := flame.Call(t.Context(), p, func(context.Context) (int, error) { return os.Getpid(), nil })
		if err == nil && got != before {
			return
		}
		var lost *flame.RunnerLostError
		if !errors.As(err, &lost) {
			t.Fatalf("%d: %v", got, err)
		}
	}
	t.Error("it was not replaced")
}

func TestN04_AnIdleProcessThatWasToldToLeaveIsReplacedUnseen(t *testing.T) {
	p, _ := perCall(t, 1, time.Second)
	before := pid(t, p)
	syscall.Kill(before, syscall.SIGTERM)
	gone(t, before)
	if after := pid(t, p); after == before {
		t.Error("a process that is gone took a call")
	}
}

func TestN04_AProcessThatIsToldToLeaveFinishesItsCall(t *testing.T) {
	p, _ := perCall(t, 1, time.Second)
	n := listen(t)
	addr := n.addr
	task := flame.Start(t.Context(), p, func(context.Context) (int, error) {
		syscall.Kill(os.Getpid(), syscall.SIGTERM)
		return os.Getpid(), hold(addr)
	})
	n.next(t)
	n.release()
	before, err := task.Wait(t.Context())
	if err != nil {
		t.Error(err)
	}
	settle(t, func() bool { return pid(t, p) != before }, func() string { return "a process that was told to leave takes calls" })
}

func TestN04_LittleAndMuchCrossesBothWays(t *testing.T) {
	p, _ := perCall(t, 1, time.Second)
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	for _, size := range []int{0, 1, 60_000, 70_000, 5 << 20} {
		data := bytes.Repeat([]byte("0123456789"), size/10)
		var from io.Reader = bytes.NewReader(data)
		got, err := flame.Call(t.Context(), p, func(ctx context.Context) ([]byte, error) {
			read, err := io.ReadAll(from)
			logger.Info("read", "bytes", len(read))
			if !bytes.Equal(read, data) {
				return nil, fmt.Errorf("%d of %d bytes were read", len(read), len(data))
			}
			return data, err
		})
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes: %d came back, %v", len(data), len(got), err)
		}
		if want := fmt.Sprint("bytes=", len(data)); !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, log.String())
		}
	}
}

func TestN04_EachProcessKnowsItsParentAndHasItsOwn(t *testing.T) {
	p, _ := perCall(t, 2, time.Second)
	n := listen(t)
	addr := n.addr
	type said struct {
		Info flame.ParentInfo
		OK   bool
		Seen int
	}
	own := &perProcess
	ask := func() said {
		got, err := flame.Call(t.Context(), p, func(context.Context) (said, error) {
			info, ok := flame.Parent()
			own.seen++
			return said{info, ok, own.seen}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	first, second := ask(), ask()
	if !first.OK || first.Info.Pool != "test" || first.Info != second.Info || first.Seen != 1 || second.Seen != 2 {
		t.Errorf("%+v, then %+v", first, second)
	}
	held := flame.Start(t.Context(), p, func(context.Context) (int, error) {
		return own.seen, hold(addr)
	})
	n.next(t)
	if other := ask(); other.Info != first.Info || other.Seen != 1 {
		t.Errorf("the other process says %+v", other)
	}
	n.release()
	if got, err := held.Wait(t.Context()); got != 2 || err != nil {
		t.Errorf("the first process has seen %d calls, %v", got, err)
	}
}

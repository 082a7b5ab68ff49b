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
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend/inproc"
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
		for { //nolint:revive // it ignores everything
		}
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
	if after := pid(t, p); err != nil || after == before {
		t.Errorf("process %d, %v, then %d", before, err, after)
	}
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

func TestN04_CallsAreKilledBeforeRunnersWhenMemoryRunsOut(t *testing.T) {
	score := func(p *flame.Pool) string {
		got, err := flame.Call(t.Context(), p, func(context.Context) (string, error) {
			text, err := os.ReadFile("/proc/self/oom_score_adj")
			return strings.TrimSpace(string(text)), err
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	shared, _ := open(t, flame.Config{})
	if got := score(shared); got != "500" {
		t.Errorf("a runner has %s", got)
	}
	own, _ := perCall(t, 1, time.Second)
	if got := score(own); got != "1000" {
		t.Errorf("a call's own process has %s", got)
	}
}

func TestN04_NoProcessIsLeftAfterClose(t *testing.T) {
	for name, end := range map[string]func(*flame.Pool, *news) error{
		"Shutdown": func(p *flame.Pool, n *news) error { n.release(); return p.Shutdown(context.Background()) },
		"Close":    func(p *flame.Pool, _ *news) error { return p.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			p, r := perCall(t, 2, patience)
			n := listen(t)
			pids := slotPids(t, p, n, 2)
			if err := end(p, n); err != nil {
				t.Error(err)
			}
			<-r.booted()[0].Done()
			for _, pid := range pids {
				gone(t, pid)
			}
		})
	}
}

// slotPids starts so many calls that go on, whatever comes, and returns their processes.
func slotPids(t *testing.T, p *flame.Pool, n *news, calls int) (pids []int) {
	t.Helper()
	addr := n.addr
	for range calls {
		flame.Start(context.Background(), p, func(context.Context) (int, error) {
			tell(addr, strconv.Itoa(os.Getpid()))
			return 0, hold(addr)
		})
		for range 2 { // the two lines come over two connections
			if pid, err := strconv.Atoi(n.next(t)); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	if len(pids) != calls {
		t.Fatalf("%d calls told %d processes", calls, len(pids))
	}
	return pids
}

func TestN04_AKilledRunnerTakesItsProcessesAlong(t *testing.T) {
	p, r := perCall(t, 2, patience)
	n := listen(t)
	addr := n.addr
	pids := slotPids(t, p, n, 1)
	task := flame.Start(t.Context(), p, func(context.Context) (int, error) {
		tell(addr, strconv.Itoa(os.Getpid()))
		for {
			runtime.Gosched()
		}
	})
	busy, _ := strconv.Atoi(n.next(t))
	kill(t, r.booted()[0])
	for _, pid := range append(pids, busy) {
		if took := gone(t, pid); took > 2*time.Second {
			t.Errorf("process %d was there for %v after its runner was killed", pid, took)
		}
	}
	var lost *flame.RunnerLostError
	if _, err := task.Wait(t.Context()); !errors.As(err, &lost) || lost.Signal != syscall.SIGKILL {
		t.Errorf("%v", err)
	}
}

func TestN04_AKilledParentTakesAllProcessesAlong(t *testing.T) {
	killParent(t, "parent PerCall")
}

func TestN04_EachProcessCleansUp(t *testing.T) {
	if got := cleaned(t, "cleanup PerCall"); strings.Count(got, "cleaned true") != 2 {
		t.Errorf("%q: a runner with one process", got)
	}
}

func TestN04_AProcessThatDoesNotComeUpIsABootError(t *testing.T) {
	out := program(t, "lonely")
	for _, want := range []string{"boot a process for calls", "exit code 4", "there may be only one"} {
		if !strings.Contains(out, want) {
			t.Errorf("it says\n%s\nand not %q", out, want)
		}
	}
}

func TestB11_AProcessThatHangsIsNotLeft(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pid")
	t.Setenv("FLAME_TEST_HANGS", name)
	if out := program(t, "hangs"); !strings.Contains(out, "not ready") {
		t.Errorf("it says\n%s", out)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	hung, err := strconv.Atoi(string(text))
	defer syscall.Kill(hung, syscall.SIGKILL)
	if took := gone(t, hung); err != nil || took > 2*time.Second {
		t.Errorf("it was there for %v, %v", took, err)
	}
}

// hangingProgram is one whose runner can run, but those of the runner never serve.
func hangingProgram() {
	onRunner(func() {
		if name := os.Getenv("FLAME_TEST_HANGS"); name == "" {
			os.WriteFile(os.Getenv("FLAME_TEST_HUNG"), strconv.AppendInt(nil, int64(os.Getpid()), 10), 0o600)
			select {}
		}
		os.Setenv("FLAME_TEST_HUNG", os.Getenv("FLAME_TEST_HANGS"))
		os.Unsetenv("FLAME_TEST_HANGS")
	})
	flame.ServeIfRunner()
	_, err := flame.Open(context.Background(), flame.Config{Min: 1, BootTimeout: 500 * time.Millisecond, Isolation: flame.PerCall})
	fmt.Println(err)
}

// lonelyProgram is one whose runner can run, but not those of the runner.
func lonelyProgram() {
	onRunner(func() {
		if os.Getenv("FLAME_TEST_LONELY") != "" {
			fmt.Println("there may be only one")
			os.Exit(4)
		}
		os.Setenv("FLAME_TEST_LONELY", "yes")
	})
	flame.ServeIfRunner()
	openAndReport(flame.PerCall)
}

func TestN04_ARunnerInTheParentItselfHasNoProcesses(t *testing.T) {
	_, err := flame.Open(t.Context(), flame.Config{Min: 1, Isolation: flame.PerCall, Backend: inproc.New()})
	if err == nil || !strings.Contains(err.Error(), "use another backend") {
		t.Errorf("%v", err)
	}
}

//go:build linux

package flame_test

import (
	"context"
	"errors"
	"fmt"
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

func TestN04_AStormOfCrashesTakesOnlyWhatCrashes(t *testing.T) {
	const slots = 4
	p, r := perCall(t, slots, 10*time.Millisecond)
	pid(t, p)
	over := make(chan struct{})
	var watch, calls sync.WaitGroup
	watch.Go(func() {
		for most := 0; ; most = max(most, childrenOf(r.booted()[0].ID())) {
			select {
			case <-over:
				if most < 2 || most > slots {
					t.Errorf("the runner had up to %d processes", most)
				}
				return
			case <-time.After(time.Millisecond):
			}
		}
	})
	for i := range 3 * slots {
		calls.Go(func() {
			for j := range 20 {
				kind := (i*7 + j*3) % 10
				err := flame.Run(t.Context(), p, func(context.Context) error {
					switch kind {
					case 0:
						os.Exit(1)
					case 1:
						panic("no good")
					case 2:
						syscall.Kill(os.Getpid(), syscall.SIGKILL)
						select {}
					case 3:
						for {
							runtime.Gosched()
						}
					}
					return nil
				}, flame.Timeout([]time.Duration{3: 100 * time.Millisecond, 9: 0}[kind]))
				ok := err == nil
				var lost *flame.RunnerLostError
				var panicked *flame.PanicError
				var late *flame.TimeoutError
				switch kind {
				case 0, 2:
					ok = errors.As(err, &lost)
				case 1:
					ok = errors.As(err, &panicked)
				case 3:
					ok = errors.As(err, &late)
				}
				if !ok {
					t.Errorf("a call of kind %d: %v", kind, err)
				}
			}
		})
	}
	calls.Wait()
	close(over)
	watch.Wait()
	if len(r.booted()) != 1 {
		t.Errorf("%d runners were booted", len(r.booted()))
	}
}

// childrenOf counts the processes that a process has.
func childrenOf(pid string) (n int) {
	all, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range all {
		text, _ := os.ReadFile(name)
		_, rest, _ := strings.Cut(string(text), ") ")
		if f := strings.Fields(rest); len(f) > 1 && f[1] == pid { // its state, its parent
			n++
		}
	}
	return n
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

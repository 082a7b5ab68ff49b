//go:build linux

package flame_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend"
)

func TestF02_OpenBootsMin(t *testing.T) {
	_, r := open(t, flame.Config{Min: 3})
	if n := len(r.booted()); n != 3 {
		t.Errorf("Open with Min 3 booted %d", n)
	}
}

func TestF05_IdleRunnerLeavesAndTheNextCallBootsAnother(t *testing.T) {
	p, r := open(t, flame.Config{IdleShutdownAfter: 20 * time.Millisecond})
	before := pid(t, p)
	select {
	case <-r.booted()[0].Done():
	case <-time.After(patience):
		t.Fatal("the idle runner stays")
	}
	if err := r.booted()[0].Err(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	if after := pid(t, p); after == before {
		t.Error("the runner that left took a call")
	}
}

func TestF10_ParentIsKnownAndStdinIsEmpty(t *testing.T) {
	p, _ := open(t, flame.Config{})
	if _, ok := flame.Parent(); ok {
		t.Error("the parent takes itself for a runner")
	}
	dir, _ := os.Getwd()
	err := flame.Run(t.Context(), p, func(context.Context) error {
		info, ok := flame.Parent()
		here, _ := os.Getwd()
		if !ok || info.Pool != "test" || info.Runner == "" || info.Parent == "" || here != dir {
			return fmt.Errorf("%+v %v in %s", info, ok, here)
		}
		if n, err := os.Stdin.Read(make([]byte, 1)); n != 0 || err == nil {
			return fmt.Errorf("stdin: %d, %v", n, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestF10_PoolInsideARunner(t *testing.T) {
	p, _ := open(t, flame.Config{})
	got, err := flame.Call(t.Context(), p, func(ctx context.Context) ([2]int, error) {
		inner, err := flame.Open(ctx, flame.Config{Min: 1, Max: 1})
		if err != nil {
			return [2]int{}, err
		}
		defer inner.Close()
		there, err := flame.Call(ctx, inner, func(context.Context) (int, error) { return os.Getpid(), nil })
		return [2]int{os.Getpid(), there}, err
	})
	if err != nil || got[0] == got[1] || got[0] == os.Getpid() || got[1] == os.Getpid() {
		t.Errorf("%v, %v", got, err)
	}
}

func TestB01_KilledRunnerFailsOnlyItsCalls(t *testing.T) {
	p, r := open(t, flame.Config{Min: 2, Max: 2, MaxConcurrency: 4})
	n := listen(t)
	addr := n.addr
	var tasks []*flame.Task[int]
	for range 8 {
		tasks = append(tasks, flame.Start(t.Context(), p, func(context.Context) (int, error) { return os.Getpid(), hold(addr) }))
	}
	for range 8 {
		n.next(t)
	}
	queued := flame.Start(t.Context(), p, func(context.Context) (int, error) { return os.Getpid(), nil })
	victim := r.booted()[0]
	kill(t, victim)
	if _, err := queued.Wait(t.Context()); err != nil {
		t.Errorf("the call in line: %v", err)
	}
	n.release()
	failed := 0
	for i, task := range tasks {
		pid, err := task.Wait(t.Context())
		var lost *flame.RunnerLostError
		switch {
		case err == nil && strconv.Itoa(pid) == victim.ID():
			t.Errorf("call %d says that it ran on the runner that was killed", i)
		case err == nil:
		case errors.As(err, &lost) && lost.Started && lost.Signal == syscall.SIGKILL && flame.Ran(err):
			failed++
		default:
			t.Errorf("call %d: %v", i, err)
		}
	}
	if failed != 4 {
		t.Errorf("%d of 8 calls failed, 4 were on the runner that was killed", failed)
	}
	pid(t, p)
}

// kill ends a runner as the system does when memory runs out.
func kill(t *testing.T, i backend.Instance) {
	t.Helper()
	pid, err := strconv.Atoi(i.ID())
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGKILL)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestKilledIdleRunnerIsReplacedUnseen(t *testing.T) {
	p, r := open(t, flame.Config{Min: 1})
	first := pid(t, p)
	kill(t, r.booted()[0])
	<-r.booted()[0].Done()
	for range 20 {
		got, err := flame.Call(t.Context(), p, func(context.Context) (int, error) { return os.Getpid(), nil })
		var l *flame.RunnerLostError
		if err == nil && got != first {
			return
		}
		if err != nil && (!errors.As(err, &l) || len(r.booted()) > 1) {
			t.Fatal(err)
		}
	}
	t.Error("the runner was not replaced")
}

func TestKilledParentTakesItsRunnersAlong(t *testing.T) { killParent(t, "parent") }

// killParent kills a parent that runs in a process of its own and sees its runners go.
func killParent(t *testing.T, name string) {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), programVariable+"="+name)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pids [3]int
	if _, err := fmt.Fscanln(out, &pids[0], &pids[1], &pids[2]); err != nil {
		t.Fatal(err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	for _, pid := range pids {
		if took := gone(t, pid); took > time.Second {
			t.Errorf("runner %d was there for %v after its parent was killed", pid, took)
		}
	}
}

// parentProgram boots runners, has functions ignore everything in three processes of theirs, and waits.
func parentProgram(c flame.Config) {
	p, l := beginProgram(c)
	addr := l.Addr().String()
	var pids [3]int
	var tasks [3]*flame.Task[int]
	for i := range tasks {
		tasks[i] = flame.Start(context.Background(), p, func(context.Context) (int, error) {
			tell(addr, fmt.Sprint(os.Getpid()))
			select {}
		})
	}
	for i := range pids {
		c, err := l.Accept()
		if err != nil {
			panic(err)
		}
		fmt.Fscan(c, &pids[i])
	}
	fmt.Println(pids[0], pids[1], pids[2])
	tasks[0].Wait(context.Background())
}

func TestNothingIsLeftAfterClose(t *testing.T) {
	warm, _ := open(t, flame.Config{}) // what the first pool of a process leaves on purpose is not counted
	pid(t, warm)
	warm.Close()
	goroutines, files := runtime.NumGoroutine(), descriptors(t)
	p, r := open(t, flame.Config{Min: 2, MaxConcurrency: 2})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { pid(t, p) })
	}
	wg.Wait()
	task := flame.Start(t.Context(), p, func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, nil })
	if err := errors.Join(p.Close(), p.Close()); err != nil {
		t.Error(err)
	}
	if _, err := task.Wait(t.Context()); err == nil {
		t.Error("a call that was running when the pool closed has succeeded")
	}
	for _, i := range r.booted() {
		select {
		case <-i.Done():
		default:
			t.Errorf("runner %s is there after Close", i.ID())
		}
	}
	settle(t, func() bool { return runtime.NumGoroutine() <= goroutines && descriptors(t) <= files }, func() string {
		return fmt.Sprintf("%d goroutines instead of %d, %d descriptors instead of %d", runtime.NumGoroutine(), goroutines, descriptors(t), files)
	})
}

func TestShutdownLetsRunningCallsFinish(t *testing.T) {
	p, _ := open(t, flame.Config{})
	n := listen(t)
	addr := n.addr
	task := flame.Start(t.Context(), p, func(context.Context) (string, error) {
		return "finished", hold(addr)
	})
	n.next(t)
	done := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() { done <- p.Shutdown(t.Context()) })
	for flame.Run(t.Context(), p, func(context.Context) error { return nil }) != flame.ErrPoolClosed {
		runtime.Gosched()
	}
	n.release()
	wg.Wait()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got, err := task.Wait(t.Context()); got != "finished" || err != nil {
		t.Errorf("the call that was running: %q, %v", got, err)
	}
}

func TestF10_CleanupRunsOnTheRunner(t *testing.T) {
	if got := cleaned(t, "cleanup"); got != "cleaned true\n" {
		t.Errorf("%q", got)
	}
}

// cleaned runs a cleanupProgram and returns what its cleanup functions have written.
func cleaned(t *testing.T, program string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "cleaned")
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), programVariable+"="+program, "CLEANED="+name)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func cleanupProgram(c flame.Config) {
	flame.ServeIfRunner(func(ctx context.Context) {
		f, err := os.OpenFile(os.Getenv("CLEANED"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			panic(err)
		}
		until, bounded := ctx.Deadline()
		fmt.Fprintln(f, "cleaned", bounded && time.Until(until) > time.Second) // less if the parent is gone
		f.Close()
	})
	p, err := flame.Open(context.Background(), c)
	if err != nil {
		panic(err)
	}
	p.Shutdown(context.Background())
}

// settle waits for goroutines that are on their way out.
func settle(t *testing.T, ok func() bool, say func() string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for start := time.Now(); !ok(); <-tick.C {
		if time.Since(start) > 5*time.Second {
			t.Fatal(say())
		}
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

//go:build linux

package flame_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/backend/process"
)

// promised is how long silent death may take to be found.
const promised = 15 * time.Second

func TestN05_SilentDeathIsFoundIn15SecondsAndLifeIsNotTakenForIt(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes as long as silent death does to be found")
	}
	var all sync.WaitGroup // all at once: they do nothing but wait
	for name, is := range map[string]func(*testing.T){
		"a stopped runner":                        both(stoppedRunner),
		"a runner that is stopped for a while":    both(pausedRunner),
		"a runner that wakes too late":            lateRunner,
		"a stopped parent":                        stoppedParent("parent"),
		"a stopped parent of runners that dial":   stoppedParent("parent dialled"),
		"a network that swallows everything":      swallowingNetwork,
		"a network that comes back":               returningNetwork,
		"a slow wire":                             slowWire,
		"a runner that hardly gets the processor": starvingRunner,
	} {
		all.Go(func() { t.Run(name, is) })
	}
	all.Wait()
}

// both has a test run with a runner that has inherited its connection, and with one that dials.
func both(is func(t *testing.T, p *flame.Pool, w *wire)) func(*testing.T) {
	return func(t *testing.T) {
		var all sync.WaitGroup
		all.Go(func() {
			t.Run("inherited", func(t *testing.T) {
				p, _ := open(t, flame.Config{Backend: process.New(process.Options{Output: t.Output()})})
				is(t, p, nil)
			})
		})
		all.Go(func() {
			t.Run("dialled", func(t *testing.T) {
				p, w, _ := wired(t, flame.Config{})
				is(t, p, w)
			})
		})
		all.Wait()
	}
}

// sendSignal sends a process a signal.
func sendSignal(t *testing.T, pid int, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, s); err != nil {
		t.Error(err)
	}
}

func stoppedRunner(t *testing.T, p *flame.Pool, _ *wire) {
	n := listen(t)
	addr := n.addr
	runner := pid(t, p)
	task := flame.Start(t.Context(), p, func(context.Context) (int, error) { return 0, hold(addr) })
	n.next(t)
	<-time.After(1500 * time.Millisecond) // somewhere between two signs of life
	begin := time.Now()
	sendSignal(t, runner, syscall.SIGSTOP)
	_, err := task.Wait(t.Context())
	var lost *flame.RunnerLostError
	took := time.Since(begin)
	if !errors.As(err, &lost) || !lost.Started || took > promised+time.Second || took < 5*time.Second || !strings.Contains(err.Error(), "no sign of life") {
		t.Errorf("after %v: %v", took, err)
	}
	t.Logf("after %v: %v", took, err)
	gone(t, runner)
}

func pausedRunner(t *testing.T, p *flame.Pool, w *wire) {
	pauses := []time.Duration{3 * time.Second}
	if w != nil {
		pauses = append(pauses, 8*time.Second) // its connection is given up, and it dials again
	}
	for _, pause := range pauses {
		runner := pid(t, p)
		n := listen(t)
		addr := n.addr
		task := flame.Start(t.Context(), p, func(context.Context) (int, error) { return os.Getpid(), hold(addr) }, flame.Timeout(-1))
		n.next(t)
		sendSignal(t, runner, syscall.SIGSTOP)
		<-time.After(pause)
		sendSignal(t, runner, syscall.SIGCONT)
		n.release()
		if got, err := task.Wait(t.Context()); got != runner || err != nil {
			t.Errorf("after %v: process %d, %v", pause, got, err)
		}
	}
}

func stoppedParent(name string) func(*testing.T) {
	return func(t *testing.T) {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), programVariable+"="+name)
		cmd.Stderr = t.Output()
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		said, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		var pids [3]int
		if _, err := fmt.Sscan(said, &pids[0], &pids[1], &pids[2]); err != nil {
			t.Fatal(err)
		}
		sendSignal(t, cmd.Process.Pid, syscall.SIGSTOP)
		begin := time.Now()
		for _, pid := range pids {
			gone(t, pid)
		}
		if took := time.Since(begin); took > promised+2*time.Second {
			t.Errorf("they were there for %v", took)
		}
		t.Logf("they left after %v", time.Since(begin))
		sendSignal(t, cmd.Process.Pid, syscall.SIGKILL)
		sendSignal(t, cmd.Process.Pid, syscall.SIGCONT)
		_ = cmd.Wait()
	}
}

func swallowingNetwork(t *testing.T) {
	p, w, _ := wired(t, flame.Config{})
	n := listen(t)
	addr := n.addr
	runner := pid(t, p)
	task := flame.Start(t.Context(), p, func(context.Context) (int, error) { return 0, hold(addr) })
	n.next(t)
	begin := time.Now()
	w.hold(true)
	_, err := task.Wait(t.Context())
	var lost *flame.RunnerLostError
	if took := time.Since(begin); !errors.As(err, &lost) || took > promised+time.Second || took < 10*time.Second {
		t.Errorf("after %v: %v", took, err)
	}
	if took := gone(t, runner); took > time.Second {
		t.Errorf("the runner left %v later", took)
	}
}

func returningNetwork(t *testing.T) {
	p, w, r := wired(t, flame.Config{Max: 1})
	first, _, err := exchange(t, p, 50_000)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		<-time.After(10 * time.Millisecond)
		w.hold(true)
		<-time.After(8 * time.Second)
		w.hold(false)
	})
	for range 40 {
		if got, _, err := exchange(t, p, 50_000); got != first || err != nil {
			t.Errorf("process %d after %d, %v", got, first, err)
		}
	}
	all.Wait()
	if s := p.Stats(); s.Lost+s.Moved+s.Retried > 0 || len(r.booted()) != 1 {
		t.Errorf("%+v", s)
	}
}

func slowWire(t *testing.T) {
	p, w, _ := wired(t, flame.Config{Max: 1})
	pid(t, p)
	made := w.connections()
	w.slow(200_000)
	bulk := letters(1_500_000) // 7 s there and 7 s back, most of it in buffers on the way
	begin := time.Now()
	got, err := flame.Call(t.Context(), p, func(context.Context) (string, error) { return bulk, nil }, flame.Timeout(-1))
	if got != bulk || err != nil {
		t.Error(err)
	}
	if n := w.connections() - made; n > 0 || time.Since(begin) < 10*time.Second {
		t.Errorf("the connection was given up %d times in %v", n, time.Since(begin))
	}
}

func starvingRunner(t *testing.T) {
	p, w, _ := wired(t, flame.Config{Max: 1})
	runner := pid(t, p)
	made := w.connections()
	task := flame.Start(t.Context(), p, func(context.Context) (int, error) {
		var all sync.WaitGroup
		end := time.Now().Add(12 * time.Second)
		for range 4 * runtime.GOMAXPROCS(0) {
			all.Go(func() {
				for time.Now().Before(end) {
					kept := make([][]byte, 0, 1000)
					for range 1000 {
						kept = append(kept, make([]byte, 1024))
					}
					runtime.GC()
					runtime.KeepAlive(kept)
				}
			})
		}
		all.Wait()
		return os.Getpid(), nil
	})
	done := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		for {
			sendSignal(t, runner, syscall.SIGSTOP) // as a quota of a tenth of a processor does
			<-time.After(180 * time.Millisecond)
			sendSignal(t, runner, syscall.SIGCONT)
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	if got, err := task.Wait(t.Context()); got != runner || err != nil {
		t.Errorf("process %d, %v", got, err)
	}
	close(done)
	all.Wait()
	if n := w.connections() - made; n > 0 {
		t.Errorf("the connection was given up %d times", n)
	}
}

// stopped says whether a process is.
func stopped(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, _ := strings.Cut(string(stat), ") ")
	return err == nil && strings.HasPrefix(state, "T")
}

// remote boots runners that go on when they are stopped, as on a machine that cannot be reached.
type remote struct{ *wire }

func (r remote) Boot(ctx context.Context, spec backend.Spec) (backend.Instance, error) {
	i, err := r.wire.Boot(ctx, spec)
	return unstoppable{i}, err
}

type unstoppable struct{ backend.Instance }

func (unstoppable) Stop(context.Context) error { return nil }

func lateRunner(t *testing.T) {
	_, w, _ := wired(t, flame.Config{})                                                       // whose own pool boots nobody
	p, err := flame.Open(t.Context(), flame.Config{Name: "test", Backend: remote{w}, Min: 1}) // so that somebody is there to refuse it
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	n := listen(t)
	addr := n.addr
	runner := pid(t, p)
	task := flame.Start(t.Context(), p, func(context.Context) (int, error) { return os.Getpid(), hold(addr) })
	n.next(t)
	before := p.Stats().Ended
	sendSignal(t, runner, syscall.SIGSTOP)
	settle(t, func() bool { return stopped(runner) }, func() string { return "it does not stop" })
	n.release()
	_, err = task.Wait(t.Context())
	var lost *flame.RunnerLostError
	if !errors.As(err, &lost) || !lost.Started {
		t.Errorf("%v", err)
	}
	settle(t, func() bool { return p.Stats().Ready == 1 }, func() string { return "no other has come" })
	sendSignal(t, runner, syscall.SIGCONT)
	if took := gone(t, runner); took > 5*time.Second {
		t.Errorf("it left after %v", took)
	}
	if s := p.Stats(); s.Lost != 1 || s.Ended != before {
		t.Errorf("its late result counts: %+v", s)
	}
}

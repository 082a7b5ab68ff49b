//go:build linux

package flame_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/internal/dialback"
)

// runs is how often the function of the exchange has run in this process.
var runs atomic.Int64

// exchange makes one call with a large capture, a stream there, elements back, and a large result, and says what is wrong with
// what has come of it. It returns the process that it ran on, and its how manieth run it was.
func exchange(t *testing.T, p *flame.Pool, size int) (pid int, run int64, err error) {
	t.Helper()
	sent, file := letters(size), letters(size/2)
	var in io.Reader = strings.NewReader(file)
	steps := make(chan int, 4)
	var out chan<- int = steps
	type answer struct {
		PID       int
		Run       int64
		Sent, Sum [sha256.Size]byte
		Back      string
	}
	task := flame.Start(t.Context(), p, func(context.Context) (answer, error) {
		a := answer{PID: syscall.Getpid(), Run: runs.Add(1), Sent: sha256.Sum256([]byte(sent)), Back: sent}
		defer close(out)
		for i := range 20 {
			out <- i
		}
		read, err := io.ReadAll(in)
		a.Sum = sha256.Sum256(read)
		return a, err
	})
	for want := 0; ; want++ {
		got, more := <-steps
		if !more {
			break
		}
		if got != want {
			err = errors.Join(err, fmt.Errorf("element %d came where %d belongs", got, want))
		}
	}
	a, failed := task.Wait(t.Context())
	if failed == nil && (a.Sent != sha256.Sum256([]byte(sent)) || a.Sum != sha256.Sum256([]byte(file)) || a.Back != sent) {
		failed = errors.New("other bytes have come than were sent")
	}
	return a.PID, a.Run, errors.Join(err, failed)
}

// letters returns text that tells its places.
func letters(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a' + byte((i>>6^i)%26)
	}
	return string(b)
}

func TestN05_ADroppedConnectionLosesNothing(t *testing.T) {
	for name, isolation := range map[string]flame.Isolation{"Shared": flame.Shared, "PerCall": flame.PerCall} {
		t.Run(name, func(t *testing.T) {
			const size = 100_000
			p, w, r := wired(t, flame.Config{Max: 1, Isolation: isolation, MaxConcurrency: 2})
			begun := w.connections()
			first, before, err := exchange(t, p, size)
			if err != nil {
				t.Fatal(err)
			}
			cuts := 0
			for at := 0; at < 3*size; at += 1 + at/9 { // beyond what goes either way
				for way := range 2 {
					w.cutAfter(at, way)
					made := w.connections()
					pid, run, err := exchange(t, p, size)
					if err != nil || pid != first || run != before+1 {
						t.Fatalf("cut after %d bytes, way %d: process %d, run %d after %d, %v", at, way, pid, run, before, err)
					}
					before = run
					cuts += w.connections() - made
				}
			}
			if s := p.Stats(); s.Lost+s.Moved+s.Retried+s.Failed > 0 || len(r.booted()) != 1 {
				t.Errorf("%d runners, %+v", len(r.booted()), s)
			}
			if cuts < 100 {
				t.Errorf("the connection was cut %d times only", cuts)
			}
			t.Logf("%d connections, %d exchanges, one runner", w.connections()-begun+1, before)
		})
	}
}

func TestN05_PastTheWindowBothSidesTakeItForLost(t *testing.T) {
	p, w, _ := wired(t, flame.Config{Max: 1, ResumeWindow: time.Second})
	n := listen(t)
	addr := n.addr
	runner := pid(t, p)
	task := flame.Start(t.Context(), p, func(context.Context) (int, error) { return 0, hold(addr) })
	n.next(t)
	begin := time.Now()
	w.shut(true)
	_, err := task.Wait(t.Context())
	var lost *flame.RunnerLostError
	if took := time.Since(begin); !errors.As(err, &lost) || !lost.Started || !strings.Contains(err.Error(), "not restored within 1s") || took < time.Second || took > 3*time.Second {
		t.Errorf("after %v: %v", took, err)
	}
	if took := gone(t, runner); took > 3*time.Second {
		t.Errorf("the runner left after %v", took)
	}
	w.shut(false)
	if again := pid(t, p); again == runner {
		t.Error("a lost runner has had another call")
	}
}

func TestN05_WithoutAWindowARunnerIsLostWithItsConnection(t *testing.T) {
	p, w, _ := wired(t, flame.Config{Max: 1, ResumeWindow: -1})
	n := listen(t)
	addr := n.addr
	task := flame.Start(t.Context(), p, func(context.Context) (int, error) { return 0, hold(addr) })
	n.next(t)
	begin := time.Now()
	w.cut()
	_, err := task.Wait(t.Context())
	var lost *flame.RunnerLostError
	if took := time.Since(begin); !errors.As(err, &lost) || !lost.Started || took > 2*time.Second {
		t.Errorf("after %v: %v", took, err)
	}
}

func TestN05_ARunnerThatIsKilledIsLostAtOnceAlthoughItMightDialAgain(t *testing.T) {
	p, _, r := wired(t, flame.Config{Max: 1})
	n := listen(t)
	addr := n.addr
	task := flame.Start(t.Context(), p, func(context.Context) (int, error) { return 0, hold(addr) })
	n.next(t)
	begin := time.Now()
	kill(t, alive(r))
	_, err := task.Wait(t.Context())
	var lost *flame.RunnerLostError
	if took := time.Since(begin); !errors.As(err, &lost) || lost.Signal != syscall.SIGKILL || took > time.Second {
		t.Errorf("after %v: %v", took, err)
	}
}

func TestN05_NewCallsGoWhereTheConnectionIs(t *testing.T) {
	p, w, _ := wired(t, flame.Config{Min: 2, Max: 2, MaxConcurrency: 10})
	// Given two runners of which one cannot be reached for a while,
	both := map[int]bool{}
	for len(both) < 2 {
		both[pid(t, p)] = true
		task := flame.Start(t.Context(), p, func(context.Context) (int, error) { <-time.After(20 * time.Millisecond); return 0, nil })
		both[pid(t, p)] = true
		if _, err := task.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	w.mu.Lock()
	for some := range w.pairs {
		some.close()
		break
	}
	w.closed = true
	w.mu.Unlock()
	// when calls come, then the other one has them, and nobody waits.
	settle(t, func() bool { return away(p) == 1 }, func() string { return fmt.Sprintf("%+v", p.Stats().Runners) })
	there := pid(t, p)
	for range 30 {
		begin := time.Now()
		task := flame.Start(t.Context(), p, func(context.Context) (int, error) { return syscall.Getpid(), nil })
		if got, err := task.Wait(t.Context()); got != there || err != nil || time.Since(begin) > time.Second {
			t.Fatalf("process %d, %v after %v", got, err, time.Since(begin))
		}
	}
	w.shut(false)
	settle(t, func() bool { return away(p) == 0 }, func() string { return fmt.Sprintf("%+v", p.Stats().Runners) })
	if s := p.Stats(); s.Moved+s.Lost > 0 || s.Ready != 2 {
		t.Errorf("%+v", s)
	}
}

// away is how many runners of a pool cannot be reached.
func away(p *flame.Pool) (n int) {
	for _, r := range p.Stats().Runners {
		if r.Away {
			n++
		}
	}
	return n
}

func TestN05_NothingIsLeftOfConnectionsThatWereReplaced(t *testing.T) {
	p, w, _ := wired(t, flame.Config{Max: 1})
	there := func() (here, on [2]int) {
		here = [2]int{runtime.NumGoroutine(), descriptors(t)}
		on, err := flame.Call(t.Context(), p, func(context.Context) ([2]int, error) {
			files, err := os.ReadDir("/proc/self/fd")
			return [2]int{runtime.NumGoroutine(), len(files)}, err
		})
		if err != nil {
			t.Fatal(err)
		}
		return here, on
	}
	if _, _, err := exchange(t, p, 1000); err != nil { // what the first one leaves on purpose
		t.Fatal(err)
	}
	here, on := there()
	for range 50 {
		w.cut()
		if _, _, err := exchange(t, p, 1000); err != nil {
			t.Fatal(err)
		}
	}
	settle(t, func() bool {
		hereNow, onNow := there()
		return hereNow[0] <= here[0] && hereNow[1] <= here[1] && onNow[0] <= on[0] && onNow[1] <= on[1]
	}, func() string {
		hereNow, onNow := there()
		return fmt.Sprintf("goroutines and descriptors: %v became %v on the parent, %v became %v on the runner", here, hereNow, on, onNow)
	})
	if w.connections() < 50 {
		t.Errorf("%d connections", w.connections())
	}
}

// stillborn is a backend whose runners end when they have shown their ticket.
type stillborn struct{ *wire }

func (b stillborn) Boot(ctx context.Context, spec backend.Spec) (backend.Instance, error) {
	var invite struct {
		Runner, Pool string
		Ticket       json.RawMessage
	}
	for _, v := range spec.Env {
		if text, is := strings.CutPrefix(v, backend.EnvParent+"="); is {
			if err := json.Unmarshal([]byte(text), &invite); err != nil {
				return nil, err
			}
		}
	}
	ticket, err := dialback.Read(invite.Ticket)
	if err != nil {
		return nil, err
	}
	l, err := dialback.Dial(ctx, ticket, dialback.Claims{Runner: invite.Runner, Pool: invite.Pool, Build: "b"})
	if err != nil {
		return nil, err
	}
	b.shut(true)
	l.Close() // nobody hears it
	i := departed{make(chan struct{})}
	close(i.done)
	return i, nil
}

// departed is an instance that has ended.
type departed struct{ done chan struct{} }

func (departed) ID() string                 { return "ended" }
func (i departed) Done() <-chan struct{}    { return i.done }
func (departed) Err() error                 { return nil }
func (departed) Stop(context.Context) error { return nil }

func TestN05_ABootThatEndsBeforeItHasJoinedIsNotWaitedFor(t *testing.T) {
	_, w, _ := wired(t, flame.Config{}) // whose own pool boots nobody
	begin := time.Now()
	p, err := flame.Open(t.Context(), flame.Config{Name: "test", Backend: stillborn{w}, Min: 1})
	var boot *flame.BootError
	if took := time.Since(begin); !errors.As(err, &boot) || took > 5*time.Second {
		t.Errorf("after %v: %v", took, err)
	}
	if err == nil {
		p.Close()
	}
}

//go:build linux

package flame_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
)

// joined returns both ends of a connection over the loopback interface.
func joined(t *testing.T) (here, there net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if here, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if there, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { here.Close(); there.Close() })
	return here, there
}

// isolations runs a test with calls that share a runner and with calls that have a process each.
func isolations(t *testing.T, test func(t *testing.T, c flame.Config)) {
	t.Run("Shared", func(t *testing.T) { test(t, flame.Config{}) })
	t.Run("PerCall", func(t *testing.T) { test(t, flame.Config{Isolation: flame.PerCall}) })
}

// TestF12_CancellingEndsWhatBlocksOnBothSides: a connection on which nothing comes, or from which nobody reads.
func TestF12_CancellingEndsWhatBlocksOnBothSides(t *testing.T) {
	isolations(t, func(t *testing.T, c flame.Config) {
		p, _ := open(t, c)
		n := listen(t)
		addr := n.addr
		for _, method := range []string{"read", "write"} {
			here, there := joined(t)
			pid(t, p)
			before := runtime.NumGoroutine()
			ctx, cancel := context.WithCancel(t.Context())
			conn := struct{ io.ReadWriter }{here}
			task := flame.Start(ctx, p, func(context.Context) (int, error) {
				if err := tell(addr, "begun"); err != nil {
					return 0, err
				}
				var err error
				for b := make([]byte, 100_000); err == nil; {
					if method == "read" {
						_, err = conn.Read(b)
					} else {
						_, err = conn.Write(b)
					}
				}
				return 0, tell(addr, err.Error())
			})
			if said := n.next(t); said != "begun" {
				t.Fatal(said)
			}
			start := time.Now()
			cancel()
			if said := n.next(t); said != "context canceled" {
				t.Errorf("%s: %s", method, said)
			}
			if took := time.Since(start); took > time.Second {
				t.Errorf("%s took %v to end", method, took)
			}
			if _, err := task.Wait(t.Context()); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", method, err)
			}
			settle(t, func() bool { return runtime.NumGoroutine() <= before+4 }, func() string {
				stacks := make([]byte, 1<<20)
				return fmt.Sprintf("%s: a goroutine is left\n%s", method, stacks[:runtime.Stack(stacks, true)])
			})
			if method == "read" {
				readOn(t, here, there)
			}
		}
	})
}

// readOn checks that a connection which was abandoned while it was read has no deadline.
func readOn(t *testing.T, here, there net.Conn) {
	t.Helper()
	fmt.Fprint(there, "more")
	b := make([]byte, 4)
	if _, err := io.ReadFull(here, b); err != nil || string(b) != "more" {
		t.Errorf("%q, %v", b, err)
	}
}

// TestF12_ARunnerKilledWhileItStreams reads and writes without an end until the runner is killed, or the call cancelled.
func TestF12_ARunnerKilledWhileItStreams(t *testing.T) {
	isolations(t, func(t *testing.T, c flame.Config) {
		for _, what := range []string{"read killed", "write killed", "read cancelled", "write cancelled"} {
			method, end, _ := strings.Cut(what, " ")
			p, r := open(t, c)
			tidy(t, p)
			n, source := listen(t), new(endless)
			addr, in, out := n.addr, struct{ io.Reader }{source}, struct{ io.Writer }{(*sink)(source)}
			task := flame.Start(t.Context(), p, func(context.Context) (int, error) {
				var err error
				for b, i := make([]byte, 100_000), 0; err == nil; i++ {
					if method == "read" {
						_, err = in.Read(b)
					} else {
						_, err = out.Write(b)
					}
					if i == 100 {
						err = tell(addr, "streaming")
					}
				}
				return 0, err
			})
			if said := n.next(t); said != "streaming" {
				t.Fatal(said)
			}
			start := time.Now()
			if end == "killed" {
				kill(t, r.booted()[0])
			} else {
				task.Cancel()
			}
			_, err := task.Wait(t.Context())
			var lost *flame.RunnerLostError
			if end == "killed" && (!errors.As(err, &lost) || !lost.Started) || end != "killed" && !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", what, err)
			}
			if took := time.Since(start); took > time.Second {
				t.Errorf("%s: it took %v", what, took)
			}
			before := source.read.Load()
			runtime.Gosched()
			if now := source.read.Load(); now != before {
				t.Errorf("%s: %d bytes after the call", what, now-before)
			}
		}
	})
}

// sink counts what is written to it.
type sink endless

func (s *sink) Write(b []byte) (int, error) {
	s.read.Add(int64(len(b)))
	return len(b), nil
}

func TestF12_AHandleLeftBehindSaysThatItsCallIsOver(t *testing.T) {
	p, _ := open(t, flame.Config{})
	n, file := listen(t), created(t, "content")
	addr, f := n.addr, struct{ io.ReadWriteCloser }{file}
	err := flame.Run(t.Context(), p, func(ctx context.Context) error {
		var wg sync.WaitGroup
		wg.Go(func() {
			<-ctx.Done() // the call is over
			var err error
			for err == nil {
				_, err = f.Read(make([]byte, 1))
			}
			_, err2 := f.Write(make([]byte, 1))
			tell(addr, fmt.Sprint(err, ", ", err2, ", ", f.Close()))
		})
		_, err := io.ReadFull(f, make([]byte, 3))
		return err
	})
	if err != nil {
		t.Error(err)
	}
	over := "the call that this was lent to is over"
	if said := n.next(t); strings.Count(said, over)+strings.Count(said, "context canceled") != 3 {
		t.Error(said)
	}
	if b, err := io.ReadAll(file); string(b) != "tent" || err != nil {
		t.Errorf("the parent reads on: %q, %v", b, err)
	}
}

// TestF12_AReaderThatNeverReturns: nobody can end its Read, but everybody else goes on.
func TestF12_AReaderThatNeverReturns(t *testing.T) {
	p, _ := open(t, flame.Config{})
	tidy(t, p)
	never := make(chan struct{})
	in := struct{ io.Reader }{reader(func([]byte) (int, error) { <-never; return 0, io.EOF })}
	start := time.Now()
	err := flame.Run(t.Context(), p, func(context.Context) error {
		_, err := in.Read(make([]byte, 1))
		return err
	}, flame.Timeout(100*time.Millisecond))
	var late *flame.TimeoutError
	if took := time.Since(start); !errors.As(err, &late) || took > 5*time.Second {
		t.Errorf("after %v: %v", took, err)
	}
	if got := pid(t, p); got == 0 {
		t.Error("no process")
	}
	close(never)
}

// detachedReaderProgram has detached work read what never comes.
func detachedReaderProgram(c flame.Config) {
	flame.ServeIfRunner()
	p, err := flame.Open(context.Background(), c)
	if err != nil {
		panic(err)
	}
	never, _ := io.Pipe()
	addr, in := os.Getenv("FLAME_TEST_NEWS"), struct{ io.Reader }{never}
	if err := flame.Cast(context.Background(), p, func(context.Context) error {
		tell(addr, "reading")
		_, err := in.Read(make([]byte, 1))
		return tell(addr, fmt.Sprint(err))
	}, flame.Detach()); err != nil {
		panic(err)
	}
	select {}
}

func TestF12_DetachedWorkIsToldThatItsParentIsGone(t *testing.T) {
	for _, name := range []string{"detached reader", "detached reader PerCall"} {
		n := listen(t)
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), programVariable+"="+name, "FLAME_TEST_NEWS="+n.addr)
		cmd.Stderr = t.Output()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if said := n.next(t); said != "reading" {
			t.Fatal(said)
		}
		cmd.Process.Kill()
		cmd.Wait()
		if said := n.next(t); said != "the parent that has lent this is gone" {
			t.Errorf("%s: %s", name, said)
		}
	}
}

func TestF12_ACallThatMayRunAgainLendsNoStreams(t *testing.T) {
	p, _ := open(t, flame.Config{})
	out := struct{ io.Writer }{new(sink)}
	err := flame.Run(t.Context(), p, func(context.Context) error {
		_, err := io.WriteString(out, "once")
		return err
	}, flame.Retry(1))
	var refused *flame.SendError
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "io.Writer: a reader or writer can be used once, and with Retry") {
		t.Error(err)
	}
}

// TestF12_AFileIsWhereTheFunctionHasReadToWhateverBecomesOfTheCall reads 3 bytes of 7 and fails, or is cancelled.
func TestF12_AFileIsWhereTheFunctionHasReadToWhateverBecomesOfTheCall(t *testing.T) {
	p, _ := open(t, flame.Config{})
	tidy(t, p)
	for what, end := range map[string]func(ctx context.Context) error{
		"returns": func(context.Context) error { return nil },
		"fails":   func(context.Context) error { return io.ErrNoProgress },
		"panics":  func(context.Context) error { panic("at the fourth byte") },
		"waits":   func(ctx context.Context) error { <-ctx.Done(); return nil },
	} {
		file := created(t, "content")
		in := struct{ io.Reader }{file}
		flame.Run(t.Context(), p, func(ctx context.Context) error {
			if _, err := io.ReadFull(in, make([]byte, 3)); err != nil {
				return err
			}
			return end(ctx)
		}, flame.Timeout(500*time.Millisecond))
		if b, err := io.ReadAll(file); err != nil || string(b) != "tent" && what != "waits" || len(b) < 4 {
			t.Errorf("when the function %s, %q is left, %v", what, b, err)
		}
	}
}

// TestF12_4GiBThroughAPoolOfSmallMessages also looks at the memory of both sides. Of what is read, a quarter is written.
func TestF12_4GiBThroughAPoolOfSmallMessages(t *testing.T) {
	size := int64(4 << 30)
	if testing.Short() {
		size = 256 << 20
	}
	p, _ := open(t, flame.Config{MessageLimit: 64 << 20})
	tidy(t, p)
	in, to := struct{ io.Reader }{io.LimitReader(zeros{}, size)}, new(sink)
	out := struct{ io.Writer }{to}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	grown, err := flame.Call(t.Context(), p, func(context.Context) (uint64, error) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		written, err1 := io.CopyN(out, in, size/4)
		read, err2 := io.Copy(io.Discard, in)
		err := errors.Join(err1, err2)
		if all := written + read; all != size && err == nil {
			err = fmt.Errorf("%d bytes", all)
		}
		runtime.ReadMemStats(&after)
		return after.Sys - before.Sys, err
	}, flame.Timeout(3*time.Minute)) // with the race detector it takes half a minute
	runtime.ReadMemStats(&after)
	if err != nil || to.read.Load() != size/4 {
		t.Errorf("%d bytes have come back, %v", to.read.Load(), err)
	}
	if here := after.Sys - before.Sys; here > 64<<20 || grown > 64<<20 {
		t.Errorf("the parent has grown by %d bytes, the runner by %d", here, grown)
	}
	t.Logf("%.2f GiB/s", float64(size)/(1<<30)/time.Since(start).Seconds())
}

// zeros are read without an end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

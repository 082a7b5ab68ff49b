//go:build linux

package flame_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
)

func TestF13_CancellingTheCallEndsItsReader(t *testing.T) {
	why := errors.New("seen enough")
	for name, isolation := range map[string]flame.Isolation{"Shared": flame.Shared, "PerCall": flame.PerCall} {
		t.Run(name, func(t *testing.T) {
			n := listen(t)
			p, _ := open(t, flame.Config{Isolation: isolation})
			ctx, cancel := context.WithCancelCause(t.Context())
			addr := n.addr
			r, err := flame.Call(ctx, p, func(ctx context.Context) (io.ReadCloser, error) {
				return command(ctx, "sh", "-c", "echo begun; exec sleep 1000")
			})
			if err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 100)
			if m, err := r.Read(b); err != nil || string(b[:m]) != "begun\n" {
				t.Errorf("%q, %v", b[:m], err)
			}
			time.AfterFunc(50*time.Millisecond, func() { cancel(why) })
			if _, err := r.Read(b); !errors.Is(err, why) {
				t.Errorf("read: %v", err)
			}
			if err := r.Close(); !errors.Is(err, why) {
				t.Errorf("closed: %v", err)
			}
			free(t, p)
			if err := flame.Run(t.Context(), p, func(context.Context) error { return tell(addr, "the runner is well") }); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestF13_TheEndOfAContextIsNoEndOfFile: the function captures the context that the call was made with, whose deadline the call's is,
// and the command that it ends has written all it will.
func TestF13_TheEndOfAContextIsNoEndOfFile(t *testing.T) {
	for name, isolation := range map[string]flame.Isolation{"Shared": flame.Shared, "PerCall": flame.PerCall} {
		t.Run(name, func(t *testing.T) {
			p, _ := open(t, flame.Config{Isolation: isolation, Min: 1})
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			r, err := flame.Call(ctx, p, func(context.Context) (io.ReadCloser, error) {
				return command(ctx, "sleep", "1000")
			}, flame.Timeout(300*time.Millisecond))
			if err != nil {
				t.Fatal(err)
			}
			if text, err := io.ReadAll(r); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("read %q, %v", text, err)
			}
			if err := r.Close(); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("closed: %v", err)
			}
			free(t, p)
		})
	}
}

func TestF13_AKilledRunnerIsAnErrorOfItsReader(t *testing.T) {
	p, _ := open(t, flame.Config{})
	type answer struct {
		pid  int
		body io.ReadCloser
	}
	got, err := flame.Call(t.Context(), p, func(ctx context.Context) (answer, error) {
		r, err := command(ctx, "sh", "-c", "echo begun; exec sleep 1000")
		return answer{os.Getpid(), r}, err
	}, flame.Retry(3))
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	if n, err := got.body.Read(b); err != nil || string(b[:n]) != "begun\n" {
		t.Errorf("%q, %v", b[:n], err)
	}
	time.AfterFunc(50*time.Millisecond, func() { syscall.Kill(got.pid, syscall.SIGKILL) })
	_, err = got.body.Read(b)
	var lost *flame.RunnerLostError
	if !errors.As(err, &lost) || !lost.Started || lost.Signal != syscall.SIGKILL || errors.Is(err, io.EOF) {
		t.Errorf("read: %v", err)
	}
	if err := got.body.Close(); !errors.As(err, &lost) {
		t.Errorf("closed: %v", err)
	}
	free(t, p)
}

func TestF13_AKilledProcessOfACallIsAnErrorOfItsReader(t *testing.T) {
	p, runners := open(t, flame.Config{Isolation: flame.PerCall})
	type answer struct {
		pid  int
		body io.ReadCloser
	}
	got, err := flame.Call(t.Context(), p, func(ctx context.Context) (answer, error) {
		r, err := command(ctx, "sleep", "1000")
		return answer{os.Getpid(), r}, err
	}, flame.Retry(3))
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, func() { syscall.Kill(got.pid, syscall.SIGKILL) })
	_, err = got.body.Read(make([]byte, 1))
	var lost *flame.RunnerLostError
	if !errors.As(err, &lost) || !lost.Started || lost.Signal != syscall.SIGKILL || !strings.Contains(err.Error(), "the call's own process") {
		t.Errorf("read: %v", err)
	}
	free(t, p)
	if pid(t, p); len(runners.booted()) != 1 {
		t.Error("the runner is gone, too")
	}
}

func TestF13_ClosingThePoolEndsItsReaders(t *testing.T) {
	p, _ := open(t, flame.Config{})
	r, err := flame.Call(t.Context(), p, func(ctx context.Context) (io.ReadCloser, error) { return command(ctx, "sleep", "1000") })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("shut down: %v", err)
	}
	var lost *flame.RunnerLostError
	if _, err := r.Read(make([]byte, 1)); !errors.As(err, &lost) {
		t.Errorf("read: %v", err)
	}
	if err := r.Close(); !errors.As(err, &lost) {
		t.Errorf("closed: %v", err)
	}
}

func TestF13_ShutdownWaitsForWhatIsHeld(t *testing.T) {
	p, _ := open(t, flame.Config{})
	name, want := paperFile(t, 1<<20)
	r, err := opened(t.Context(), p, name)
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan error, 1)
	time.AfterFunc(0, func() { over <- p.Shutdown(context.Background()) })
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	select {
	case err := <-over:
		t.Errorf("it did not wait: %v", err)
	default:
	}
	if err := errors.Join(r.Close(), <-over); err != nil {
		t.Error(err)
	}
}

// forgotten waits until the logger has been told that something was lost.
func forgotten(t *testing.T, p *flame.Pool, log *paper) {
	t.Helper()
	start := time.Now()
	for p.Stats().Held > 0 || !strings.Contains(log.read(), "without being closed") {
		if runtime.GC(); time.Since(start) > patience {
			t.Fatalf("it is held: %+v; logged: %s", p.Stats(), log.read())
		}
	}
}

func TestF13_WhatIsLostIsClosedWithAWarning(t *testing.T) {
	type pair struct{ a, b io.ReadCloser }
	name, _ := paperFile(t, 16)
	two := func(ctx context.Context) (*pair, error) {
		a, err := command(ctx, "sleep", "1000") // which is waited for when it is closed
		if err != nil {
			return nil, err
		}
		b, err := os.Open(name)
		return &pair{a, b}, err
	}
	for name, lose := range map[string]func(p *flame.Pool) error{
		"Call": func(p *flame.Pool) error {
			got, err := flame.Call(context.Background(), p, two)
			if err == nil {
				_, err = io.ReadFull(got.b, make([]byte, 16))
			}
			return err
		},
		"Start": func(p *flame.Pool) error {
			<-flame.Start(context.Background(), p, two).Done()
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			log := new(paper)
			p, _ := open(t, flame.Config{Logger: slog.New(slog.NewTextHandler(log, nil))})
			if err := lose(p); err != nil {
				t.Fatal(err)
			}
			forgotten(t, p, log)
			free(t, p)
			if said := log.read(); strings.Count(said, "without being closed") != 1 || !strings.Contains(said, "pool=test") ||
				!strings.Contains(said, "TestF13_WhatIsLostIsClosedWithAWarning.func1 (held_end_test.go:") {
				t.Errorf("logged: %s", said)
			}
		})
	}
}

// TestF13_NothingIsLeft: however a reader ends, the runner has closed the file, and the parent has as many goroutines as before.
func TestF13_NothingIsLeft(t *testing.T) {
	log := new(paper)
	p, _ := open(t, flame.Config{Max: 1, MaxConcurrency: 2, Logger: slog.New(slog.NewTextHandler(log, nil))})
	name, _ := paperFile(t, 1<<20)
	files := func() (n int) {
		n, err := flame.Call(t.Context(), p, func(context.Context) (int, error) {
			fds, err := os.ReadDir("/proc/self/fd")
			for _, fd := range fds {
				if to, _ := os.Readlink("/proc/self/fd/" + fd.Name()); to == name {
					n++
				}
			}
			return n, err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	goroutines := 0
	for i := range 21 {
		ctx, cancel := context.WithCancel(t.Context())
		r, err := opened(ctx, p, name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r, make([]byte, 1+i<<15)); err != nil || i == 0 && files() != 1 {
			t.Fatal(err)
		}
		switch i % 3 {
		case 0:
			r.Close()
		case 1:
			cancel()
		default:
			r = nil
			forgotten(t, p, log)
		}
		free(t, p)
		cancel()
		if n := files(); n > 0 {
			t.Fatalf("after %d the runner has the file open %d times", i, n)
		}
		if i == 0 {
			goroutines = runtime.NumGoroutine()
		}
	}
	start := time.Now()
	for n := runtime.NumGoroutine(); n > goroutines; n = runtime.NumGoroutine() {
		if runtime.Gosched(); time.Since(start) > patience {
			t.Fatalf("%d goroutines, %d before", n, goroutines)
		}
	}
}

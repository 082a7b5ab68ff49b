//go:build linux

package flame_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
)

func TestF01_CallRunsAClosureInAnotherProcess(t *testing.T) {
	p, _ := open(t, flame.Config{})
	words, n := []string{"a", "closure"}, 2
	got, err := flame.Call(t.Context(), p, func(context.Context) (string, error) {
		words[0] = "one"
		return fmt.Sprint(words, n, os.Getpid()), nil
	})
	if want := fmt.Sprint([]string{"one", "closure"}, 2, os.Getpid()); err != nil || got == want || !strings.HasPrefix(got, "[one closure] 2 ") {
		t.Errorf("%q, %v", got, err)
	}
	if words[0] != "a" {
		t.Error("what the function wrote came back")
	}
}

func TestF01_RunReturnsTheFunctionsError(t *testing.T) {
	p, _ := open(t, flame.Config{})
	if err := flame.Run(t.Context(), p, func(context.Context) error { return nil }); err != nil {
		t.Error(err)
	}
	name := filepath.Join(t.TempDir(), "missing")
	err := flame.Run(t.Context(), p, func(context.Context) error {
		_, err := os.Open(name)
		return fmt.Errorf("on the runner: %w", err)
	})
	var remote *flame.RemoteError
	var path *os.PathError
	if !errors.As(err, &remote) || !errors.As(err, &path) || path.Path != name || !errors.Is(err, os.ErrNotExist) || !flame.Ran(err) {
		t.Errorf("%v (%T)", err, err)
	}
}

func TestF01_CastOutlivesItsContext(t *testing.T) {
	p, _ := open(t, flame.Config{})
	n := listen(t)
	addr := n.addr
	ctx, cancel := context.WithCancel(t.Context())
	if err := flame.Cast(ctx, p, func(ctx context.Context) error {
		if err := tell(addr, "begun"); err != nil {
			return err
		}
		select { // the caller's context ends meanwhile
		case <-ctx.Done():
			return tell(addr, "cancelled")
		case <-time.After(100 * time.Millisecond):
			return tell(addr, "finished")
		}
	}); err != nil {
		t.Fatal(err)
	}
	n.next(t)
	cancel()
	if got := n.next(t); got != "finished" {
		t.Error("the cast", got)
	}
}

func TestF01_CastFailsAtOnceWithAContextThatHasEnded(t *testing.T) {
	p, r := open(t, flame.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := flame.Cast(ctx, p, func(context.Context) error { return nil })
	if !errors.Is(err, context.Canceled) || flame.Ran(err) || len(r.booted()) != 0 {
		t.Errorf("%v, %d booted", err, len(r.booted()))
	}
}

func TestF01_StartTakesASnapshot(t *testing.T) {
	p, _ := open(t, flame.Config{})
	data := []byte("before")
	task := flame.Start(t.Context(), p, func(context.Context) (string, error) { return string(data), nil })
	copy(data, "after!")
	for range 2 {
		if got, err := task.Wait(t.Context()); got != "before" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	select {
	case <-task.Done():
	default:
		t.Error("the task is not Done after Wait")
	}
	task.Cancel()
	if got, err := task.Wait(t.Context()); got != "before" || err != nil {
		t.Errorf("after Cancel: %q, %v", got, err)
	}
}

func TestF07_CancelOfATaskEndsItsWork(t *testing.T) {
	p, _ := open(t, flame.Config{})
	n := listen(t)
	addr := n.addr
	task := flame.Start(t.Context(), p, func(ctx context.Context) (int, error) {
		tell(addr, "begun")
		<-ctx.Done()
		tell(addr, "cancelled")
		return 0, ctx.Err()
	})
	n.next(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := task.Wait(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait with a context that has ended: %v", err)
	}
	task.Cancel()
	if _, err := task.Wait(t.Context()); !errors.Is(err, context.Canceled) || !flame.Ran(err) {
		t.Errorf("%v", err)
	}
	if got := n.next(t); got != "cancelled" {
		t.Error(got)
	}
}

func TestF06_DeadlineEndsTheCallAtOnceAndItsWorkToo(t *testing.T) {
	p, _ := open(t, flame.Config{})
	pid(t, p)
	n := listen(t)
	addr := n.addr
	err := flame.Run(t.Context(), p, func(ctx context.Context) error {
		deadline, ok := ctx.Deadline()
		<-ctx.Done()
		return tell(addr, fmt.Sprint(ok, time.Until(deadline) < time.Second, " ", ctx.Err()))
	}, flame.Timeout(50*time.Millisecond))
	var late *flame.TimeoutError
	if !errors.As(err, &late) || !errors.Is(err, context.DeadlineExceeded) || !late.Started || late.Running < 10*time.Millisecond {
		t.Errorf("%v", err)
	}
	if got := n.next(t); got != "true true context deadline exceeded" {
		t.Errorf("on the runner: %s", got)
	}
}

func TestF07_CancelledContextEndsTheWork(t *testing.T) {
	p, _ := open(t, flame.Config{})
	n := listen(t)
	addr := n.addr
	cause := errors.New("the visitor has gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		n.next(t)
		cancel(cause)
	})
	err := flame.Run(ctx, p, func(ctx context.Context) error {
		tell(addr, "begun")
		<-ctx.Done()
		return tell(addr, ctx.Err().Error())
	})
	wg.Wait()
	if !errors.Is(err, context.Canceled) || !errors.Is(err, cause) {
		t.Errorf("%v", err)
	}
	if got := n.next(t); got != "context canceled" {
		t.Errorf("on the runner: %s", got)
	}
}

func TestF08_PanicIsAnErrorAndTheRunnerLivesOn(t *testing.T) {
	p, _ := open(t, flame.Config{})
	before := pid(t, p)
	err := flame.Run(t.Context(), p, func(context.Context) error {
		nilMap()["x"] = 1
		return nil
	})
	var panicked *flame.PanicError
	if !errors.As(err, &panicked) || !strings.Contains(panicked.Value, "nil map") || !strings.Contains(panicked.Stack, "call_test.go") {
		t.Errorf("%v", err)
	}
	var fault runtime.Error
	if !errors.As(err, &fault) {
		t.Errorf("the panic's value is not seen through: %v", err)
	}
	err = flame.Run(t.Context(), p, func(context.Context) error { panic(fmt.Errorf("wrapped: %w", io.EOF)) })
	if !errors.Is(err, io.EOF) || !flame.Ran(err) {
		t.Errorf("a panic with an error: %v", err)
	}
	if after := pid(t, p); after != before {
		t.Error("the runner was replaced")
	}
}

func nilMap() map[string]int { return nil }

func TestF08_GoexitIsAnError(t *testing.T) {
	p, _ := open(t, flame.Config{})
	err := flame.Run(t.Context(), p, func(context.Context) error { runtime.Goexit(); return nil })
	if err == nil || !strings.Contains(err.Error(), "Goexit") || !flame.Ran(err) {
		t.Errorf("%v", err)
	}
	pid(t, p)
}

func TestB07_RemoteErrorsAreValues(t *testing.T) {
	p, _ := open(t, flame.Config{})
	err := flame.Run(t.Context(), p, func(context.Context) error { return io.ErrUnexpectedEOF })
	if !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		t.Errorf("%v", err)
	}
}

func TestB14_ResultThatCannotCrossIsAnErrorOfAFunctionThatRan(t *testing.T) {
	p, _ := open(t, flame.Config{})
	_, err := flame.Call(t.Context(), p, func(context.Context) (any, error) { return make(chan int), nil })
	var send *flame.SendError
	if !errors.As(err, &send) || !flame.Ran(err) {
		t.Errorf("%v", err)
	}
}

func TestResultWhoseTypeCannotCrossIsRefusedBeforeAnythingRuns(t *testing.T) {
	p, r := open(t, flame.Config{})
	_, err := flame.Call(t.Context(), p, func(context.Context) (map[string]chan int, error) { return nil, nil })
	var send *flame.SendError
	if !errors.As(err, &send) || flame.Ran(err) || !strings.HasPrefix(send.Path, "the result → map[string]chan int") || len(r.booted()) > 0 {
		t.Errorf("%v", err)
	}
}

func TestN15_PassedDeadlineIsRefusedBeforeItIsSent(t *testing.T) {
	p, r := open(t, flame.Config{})
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	err := flame.Run(ctx, p, func(context.Context) error { return nil })
	if !errors.Is(err, context.DeadlineExceeded) || flame.Ran(err) || len(r.booted()) != 0 {
		t.Errorf("%v, %d booted", err, len(r.booted()))
	}
}

func TestLargeCapturesAndResultsCross(t *testing.T) {
	p, _ := open(t, flame.Config{})
	data := make([]byte, 20<<20)
	for i := range data {
		data[i] = byte(i * 7)
	}
	got, err := flame.Call(t.Context(), p, func(context.Context) ([]byte, error) {
		for i := range data {
			data[i]++
		}
		return data, nil
	})
	if err != nil || len(got) != len(data) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	for i := range got {
		if got[i] != byte(i*7)+1 || data[i] != byte(i*7) {
			t.Fatalf("byte %d is %d", i, got[i])
		}
	}
}

func TestN18_MessageLimit(t *testing.T) {
	p, _ := open(t, flame.Config{MessageLimit: 1 << 20})
	big := make([]byte, 2<<20)
	_, err := flame.Call(t.Context(), p, func(context.Context) (int, error) { return len(big), nil })
	var send *flame.SendError
	if !errors.As(err, &send) || flame.Ran(err) || !strings.Contains(err.Error(), "MessageLimit") {
		t.Errorf("a large capture: %v", err)
	}
	_, err = flame.Call(t.Context(), p, func(context.Context) ([]byte, error) { return make([]byte, 2<<20), nil })
	if !errors.As(err, &send) || !flame.Ran(err) {
		t.Errorf("a large result: %v", err)
	}
	pid(t, p)
}

func TestManyCallersShareARunner(t *testing.T) {
	p, r := open(t, flame.Config{Max: 2, MaxConcurrency: 8})
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			for j := range 50 {
				got, err := flame.Call(t.Context(), p, func(context.Context) (int, error) { return i * j, nil })
				if err != nil || got != i*j {
					t.Errorf("%d·%d: %d, %v", i, j, got, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if n := len(r.booted()); n > 2 {
		t.Errorf("%d runners were booted", n)
	}
}

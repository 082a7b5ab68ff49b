//go:build linux

package flame_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
)

// counted counts what is taken of in, and says when in is over.
func counted(in iter.Seq[int], pulled *atomic.Int64, over *bool) iter.Seq[int] {
	return func(yield func(int) bool) {
		defer func() { *over = true }()
		for v := range in {
			if pulled.Add(1); !yield(v) {
				return
			}
		}
	}
}

// forever yields 0, 1, 2 …
func forever(yield func(int) bool) {
	for i := 0; yield(i); i++ {
	}
}

func TestN08_LeavingTheLoopCancelsTheRestAndStopsTheInput(t *testing.T) {
	p, _ := open(t, flame.Config{MaxConcurrency: 3})
	n := listen(t)
	addr := n.addr
	var pulled atomic.Int64
	var over bool
	for v, err := range flame.Map(t.Context(), p, counted(forever, &pulled, &over), func(ctx context.Context, n int) (int, error) {
		if n == 0 {
			return n, nil
		}
		if err := tell(addr, "begun"); err != nil {
			return n, err
		}
		<-ctx.Done()
		return n, tell(addr, fmt.Sprint(context.Cause(ctx)))
	}) {
		if v != 0 || err != nil {
			t.Fatalf("%d, %v", v, err)
		}
		for range 3 {
			n.next(t)
		}
		break
	}
	if !over {
		t.Error("the input is still read")
	}
	for range 3 {
		if why := n.next(t); why != "context canceled" {
			t.Errorf("an item ended because of %q", why)
		}
	}
	settle(t, func() bool { return p.Stats().Running == 0 }, func() string { return fmt.Sprintf("%+v", p.Stats()) })
	if got := pulled.Load(); got > 64 {
		t.Errorf("%d inputs were taken", got)
	}
}

func TestN08_TheInputIsNotReadFarAhead(t *testing.T) {
	p, _ := open(t, flame.Config{MaxConcurrency: 4})
	for name, opts := range map[string][]flame.Option{"in order": nil, "unordered": {flame.Unordered()}} {
		t.Run(name, func(t *testing.T) {
			var pulled atomic.Int64
			var over bool
			taken := int64(0)
			for _, err := range flame.Map(t.Context(), p, counted(forever, &pulled, &over), func(_ context.Context, n int) (int, error) { return n, nil }, opts...) {
				if err != nil {
					t.Fatal(err)
				}
				if taken++; taken == 200 { // now the loop is slow
					settle(t, func() bool { return pulled.Load() == taken+64 }, func() string { return fmt.Sprint(pulled.Load(), " inputs are taken") })
				}
				if ahead := pulled.Load() - taken; ahead > 64 {
					t.Fatalf("%d inputs ahead", ahead)
				}
				if taken == 300 {
					break
				}
			}
		})
	}
}

func TestN08_TheEndOfTheContextEndsTheLoopWithAnError(t *testing.T) {
	p, _ := open(t, flame.Config{MaxConcurrency: 2})
	why := errors.New("changed my mind")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var pulled atomic.Int64
	var over bool
	good, late := 0, 0
	for v, err := range flame.Map(ctx, p, counted(forever, &pulled, &over), func(ctx context.Context, n int) (int, error) {
		if n >= 5 {
			<-ctx.Done()
		}
		return n, nil
	}) {
		var timeout *flame.TimeoutError
		switch {
		case err == nil && v == good:
			if good++; good == 5 {
				cancel(why)
			}
		case errors.As(err, &timeout) && errors.Is(err, why) && errors.Is(err, context.Canceled):
			late++
		default:
			t.Errorf("%d, %v", v, err)
		}
	}
	if n := int(pulled.Load()); good != 5 || late == 0 || good+late < n-1 || !over {
		t.Errorf("%d results and %d errors of %d inputs; the input is over: %v", good, late, n, over)
	}
	yielded := 0
	for _, err := range flame.Map(ctx, p, forever, func(_ context.Context, n int) (int, error) { return n, nil }) {
		if yielded++; !errors.Is(err, why) {
			t.Errorf("a context that has ended: %v", err)
		}
	}
	if yielded != 1 {
		t.Errorf("a context that has ended: %d items", yielded)
	}
}

func TestN08_AnInputThatWaitsWhenTheContextEnds(t *testing.T) {
	p, _ := open(t, flame.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	release := make(chan struct{})
	defer close(release)
	waits := func(yield func(int) bool) {
		if yield(1) {
			<-release
		}
	}
	var errs []error
	for _, err := range flame.Map(ctx, p, waits, func(_ context.Context, n int) (int, error) { return n, nil }) {
		errs = append(errs, err)
		cancel()
	}
	var late *flame.TimeoutError
	if len(errs) != 2 || errs[0] != nil || !errors.As(errs[1], &late) || !errors.Is(errs[1], context.Canceled) {
		t.Errorf("%v", errs)
	}
}

func TestN08_TheDeadlineIsThatOfEachItem(t *testing.T) {
	p, _ := open(t, flame.Config{MaxConcurrency: 2})
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	var got []string
	for v, err := range flame.Map(ctx, p, upTo(3), func(own context.Context, n int) (string, error) {
		if n == 1 {
			<-own.Done()
		}
		outer, _ := ctx.Deadline()
		inner, _ := own.Deadline()
		return fmt.Sprint(time.Until(outer) > 50*time.Minute, time.Until(inner) < time.Minute), nil
	}, flame.Timeout(500*time.Millisecond)) {
		if got = append(got, v); errors.Is(err, context.DeadlineExceeded) {
			got[len(got)-1] = "late"
		} else if err != nil {
			t.Error(err)
		}
	}
	if fmt.Sprint(got) != "[true true late true true]" {
		t.Errorf("%v", got)
	}
}

func TestN08_WhatTheInputPanicsWithComesOutOfTheLoop(t *testing.T) {
	p, _ := open(t, flame.Config{MaxConcurrency: 2})
	n := listen(t)
	addr := n.addr
	defer func() {
		if v := recover(); v != "no more" {
			t.Errorf("the loop panicked with %v", v)
		}
		if why := n.next(t); why != "context canceled" {
			t.Errorf("the item ended because of %q", why)
		}
	}()
	for range flame.Map(t.Context(), p, func(yield func(int) bool) {
		yield(0)
		<-n.lines // it has begun
		panic("no more")
	}, func(ctx context.Context, n int) (int, error) {
		if err := tell(addr, "begun"); err != nil {
			return n, err
		}
		<-ctx.Done()
		return n, tell(addr, fmt.Sprint(context.Cause(ctx)))
	}) {
		t.Error("an item came")
	}
	t.Error("the loop went on")
}

func TestN08_AnInputThatEndsItsGoroutineEndsThatOfTheLoop(t *testing.T) {
	p, _ := open(t, flame.Config{})
	ended := make(chan bool)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(ended)
		for range flame.Map(t.Context(), p, func(func(int) bool) { runtime.Goexit() }, func(_ context.Context, n int) (int, error) { return n, nil }) {
			ended <- false
		}
		ended <- true
	})
	if past, ok := <-ended; ok {
		t.Errorf("the loop went on: %v", past)
	}
}

func TestN08_AClosedPoolEndsTheLoop(t *testing.T) {
	p, _ := open(t, flame.Config{MaxConcurrency: 2})
	n := listen(t)
	addr := n.addr
	done := make(chan error, 1)
	var wg sync.WaitGroup
	defer wg.Wait()
	good, refused := 0, 0
	for v, err := range flame.Map(t.Context(), p, forever, func(_ context.Context, n int) (int, error) {
		if n == 3 {
			return n, hold(addr)
		}
		return n, nil
	}) {
		switch {
		case err == nil && v == good:
			if good++; good == 3 {
				n.next(t)
				context.AfterFunc(stopping(p), func() { n.release() })
				wg.Go(func() { done <- p.Shutdown(context.Background()) })
			}
		case errors.Is(err, flame.ErrPoolClosed):
			refused++
		default:
			t.Errorf("%d, %v", v, err)
		}
	}
	if err := <-done; err != nil || good < 4 || refused != 1 {
		t.Errorf("%d results, %d refused, %v", good, refused, err)
	}
	for _, err := range flame.Map(t.Context(), p, forever, func(_ context.Context, n int) (int, error) { return n, nil }) {
		if refused++; !errors.Is(err, flame.ErrPoolClosed) {
			t.Error(err)
		}
	}
	if refused != 2 {
		t.Errorf("the closed pool refused %d items", refused-1)
	}
}

// stopping returns a context that ends when the pool takes no more calls.
func stopping(p *flame.Pool) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	p.Subscribe(func(e flame.Event) {
		if e.Kind == flame.Closing {
			cancel()
		}
	})
	return ctx
}

func TestN08_NothingIsLeftOfAMap(t *testing.T) {
	p, _ := open(t, flame.Config{Min: 2, MaxConcurrency: 8})
	pid(t, p)
	use := func() {
		for round := range 20 {
			for v, err := range flame.Map(t.Context(), p, forever, func(ctx context.Context, n int) (int, error) {
				if n > 20 {
					<-ctx.Done()
				}
				return n, nil
			}) {
				if err != nil {
					t.Fatal(err)
				}
				if v == round {
					break
				}
			}
		}
	}
	there := func() int {
		n, err := flame.Call(t.Context(), p, func(context.Context) (int, error) { return runtime.NumGoroutine(), nil })
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	use()
	settle(t, func() bool { return p.Stats().Running == 0 }, func() string { return "items run" })
	here, files, remote := runtime.NumGoroutine(), descriptors(t), there()
	use()
	settle(t, func() bool {
		return p.Stats().Running == 0 && runtime.NumGoroutine() <= here && descriptors(t) <= files && there() <= remote
	}, func() string {
		return fmt.Sprintf("%d goroutines instead of %d, %d on a runner instead of %d", runtime.NumGoroutine(), here, there(), remote)
	})
}

func TestN08_MemoryDoesNotGrowWithTheInputs(t *testing.T) {
	p, _ := open(t, flame.Config{Min: 1, MaxConcurrency: 16})
	heap := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc >> 10)
	}
	there := func() int {
		kib, err := flame.Call(t.Context(), p, func(context.Context) (int, error) { return heap(), nil })
		if err != nil {
			t.Fatal(err)
		}
		return kib
	}
	var here, remote int
	const early, late = 5_000, 50_000
	for n, err := range flame.Map(t.Context(), p, forever, func(_ context.Context, n int) (int, error) { return n, nil }) {
		switch {
		case err != nil:
			t.Fatal(err)
		case n == early:
			here, remote = heap(), there()
		case n == late:
			t.Logf("KiB after %d and %d items: %d and %d, on the runner %d and %d", early, late, here, heap(), remote, there())
			if grown, grownThere := heap()-here, there()-remote; grown > 1024 || grownThere > 1024 {
				t.Errorf("%d KiB more, on the runner %d KiB more", grown, grownThere)
			}
			return
		}
	}
}

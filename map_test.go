//go:build linux

package flame_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fleetinglambda/flame"
)

// upTo yields 0 … n-1.
func upTo(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

func TestN08_MapYieldsInTheOrderOfTheInputs(t *testing.T) {
	p, _ := open(t, flame.Config{Max: 2, MaxConcurrency: 4})
	add := 1000
	next := 0
	for got, err := range flame.Map(t.Context(), p, upTo(500), func(_ context.Context, n int) (string, error) {
		return fmt.Sprint(n + add), nil
	}) {
		if err != nil || got != fmt.Sprint(next+1000) {
			t.Fatalf("item %d: %q, %v", next, got, err)
		}
		next++
	}
	if next != 500 {
		t.Errorf("%d items", next)
	}
}

func TestN08_AnItemsErrorIsItsOwn(t *testing.T) {
	p, _ := open(t, flame.Config{})
	no := errors.New("no")
	var got []string
	for n, err := range flame.Map(t.Context(), p, upTo(6), func(_ context.Context, n int) (int, error) {
		switch n {
		case 1:
			return 0, no
		case 3:
			panic("three")
		}
		return n, nil
	}) {
		var panicked *flame.PanicError
		switch {
		case errors.As(err, &panicked):
			got = append(got, "panic "+panicked.Value)
		case err != nil:
			got = append(got, fmt.Sprint(err, " ran ", flame.Ran(err)))
		default:
			got = append(got, fmt.Sprint(n))
		}
	}
	if want := []string{"0", "no ran true", "2", "panic three", "4", "5"}; !slices.Equal(got, want) {
		t.Errorf("got %s", strings.Join(got, ", "))
	}
}

func TestN08_UnorderedYieldsWhatIsThere(t *testing.T) {
	p, _ := open(t, flame.Config{MaxConcurrency: 4})
	n := listen(t)
	addr := n.addr
	var got []int
	for v, err := range flame.Map(t.Context(), p, upTo(100), func(_ context.Context, n int) (int, error) {
		if n == 0 {
			return n, hold(addr)
		}
		return n, nil
	}, flame.Unordered()) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, v); len(got) == 99 {
			n.release()
		}
	}
	if len(got) != 100 || got[99] != 0 {
		t.Errorf("%d items, the last one is %d", len(got), got[len(got)-1])
	}
	if slices.Sort(got); !slices.Equal(got, slices.Collect(upTo(100))) {
		t.Errorf("%v", got)
	}
}

func TestN08_TheFunctionIsSentOnceAndItsStateIsSharedOnEachRunner(t *testing.T) {
	p, r := open(t, flame.Config{Min: 2, MaxConcurrency: 3})
	seen, table := int64(0), make([]byte, 8<<20)
	rand.Read(table)
	want := sha256.Sum256(table)
	type answer struct{ Process, Nth int }
	counts := make(map[int][]int)
	before := sentBy(t)
	for a, err := range flame.Map(t.Context(), p, upTo(300), func(_ context.Context, n int) (answer, error) {
		nth := atomic.AddInt64(&seen, 1)
		if nth == 1 && sha256.Sum256(table) != want {
			return answer{}, errors.New("it is not what was captured")
		}
		return answer{os.Getpid(), int(nth)}, nil
	}) {
		if err != nil {
			t.Fatal(err)
		}
		counts[a.Process] = append(counts[a.Process], a.Nth)
	}
	for process, nths := range counts {
		slices.Sort(nths)
		for i, nth := range nths {
			if nth != i+1 {
				t.Fatalf("items on process %d do not share what they count with: %v", process, nths)
			}
		}
	}
	if len(counts) != 2 || len(r.booted()) != 2 || seen != 0 {
		t.Errorf("%d runners of %d, counted here: %d", len(counts), len(r.booted()), seen)
	}
	if sent := sentBy(t) - before; sent < 2*8<<20 || sent > 3*8<<20 {
		t.Errorf("%d bytes were written for two runners and a capture of 8 MiB", sent)
	}
}

// sentBy returns how many bytes this process has written.
func sentBy(t *testing.T) (n int64) {
	t.Helper()
	io, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Skip("what a process writes is not counted here: ", err)
	}
	_, rest, _ := strings.Cut(string(io), "wchar: ")
	if _, err := fmt.Sscan(rest, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestN08_TwoMapsAtOnceDoNotShare(t *testing.T) {
	p, _ := open(t, flame.Config{MaxConcurrency: 4})
	sums := make([]int, 2)
	var wg sync.WaitGroup
	for i := range sums {
		wg.Go(func() {
			factor, calls := i+1, int64(0)
			for v, err := range flame.Map(t.Context(), p, upTo(100), func(_ context.Context, n int) (int, error) {
				if atomic.AddInt64(&calls, 1) > 100 {
					return 0, errors.New("another loop has counted here")
				}
				return factor * n, nil
			}) {
				if err != nil {
					t.Error(err)
				}
				sums[i] += v
			}
		})
	}
	wg.Wait()
	if sums[0] != 4950 || sums[1] != 9900 {
		t.Errorf("%v", sums)
	}
}

func TestN08_EachLoopIsAMapOfItsOwn(t *testing.T) {
	p, _ := open(t, flame.Config{})
	calls := 0
	once := flame.Map(t.Context(), p, upTo(1), func(context.Context, int) (int, error) { calls++; return calls, nil })
	for range 2 {
		for v, err := range once {
			if v != 1 || err != nil {
				t.Errorf("%d, %v", v, err)
			}
		}
	}
}

func TestN08_InputsMayHoldStreamsAndTheFunctionMayNot(t *testing.T) {
	p, _ := open(t, flame.Config{MaxConcurrency: 2})
	texts := func(yield func(struct{ In io.Reader }) bool) {
		for _, s := range []string{"one", "two", "three"} {
			if !yield(struct{ In io.Reader }{strings.NewReader(s)}) {
				return
			}
		}
	}
	var got []string
	for v, err := range flame.Map(t.Context(), p, texts, func(_ context.Context, in struct{ In io.Reader }) (string, error) {
		b, err := io.ReadAll(in.In)
		return string(b), err
	}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, v)
	}
	if !slices.Equal(got, []string{"one", "two", "three"}) {
		t.Errorf("%v", got)
	}
	in := struct{ io.Reader }{strings.NewReader("x")}
	refusedOnce(t, "several runners", flame.Map(t.Context(), p, upTo(9), func(context.Context, int) (int, error) {
		_, err := in.Read(nil)
		return 0, err
	}))
}

// refusedOnce checks that a Map yields nothing but one SendError with a text.
func refusedOnce[Out any](t *testing.T, text string, m iter.Seq2[Out, error]) {
	t.Helper()
	n := 0
	for _, err := range m {
		var refused *flame.SendError
		if n++; n > 1 || !errors.As(err, &refused) || !strings.Contains(err.Error(), text) {
			t.Errorf("%d: %v", n, err)
		}
	}
	if n == 0 {
		t.Error("nothing was yielded")
	}
}

func TestN08_WhatCannotCrossIsRefusedAtOnce(t *testing.T) {
	p, r := open(t, flame.Config{})
	c := make(chan int)
	type holder struct{ C chan int }
	refusedOnce(t, "captured chan int", flame.Map(t.Context(), p, upTo(9), func(context.Context, int) (int, error) { return <-c, nil }))
	refusedOnce(t, "captured *flame.Pool", flame.Map(t.Context(), p, upTo(9), func(context.Context, int) (int, error) { return p.Stats().Min, nil }))
	refusedOnce(t, "the input.C (chan int)", flame.Map(t.Context(), p, slices.Values(make([]holder, 9)), func(context.Context, holder) (int, error) { return 0, nil }))
	refusedOnce(t, "the result → chan int", flame.Map(t.Context(), p, upTo(9), func(context.Context, int) (chan int, error) { return c, nil }))
	refusedOnce(t, "it is nil", flame.Map[int, int](t.Context(), p, upTo(9), nil))
	if len(r.booted()) > 0 {
		t.Error("a runner was booted")
	}
}

func TestN08_AnInputThatCannotCrossIsAnItemsError(t *testing.T) {
	p, _ := open(t, flame.Config{})
	var got []string
	for v, err := range flame.Map(t.Context(), p, slices.Values([]any{1, make(chan int), "two"}), func(_ context.Context, v any) (string, error) {
		return fmt.Sprint(v), nil
	}) {
		var refused *flame.SendError
		if got = append(got, v); err != nil && !errors.As(err, &refused) {
			t.Error(err)
		}
	}
	if !slices.Equal(got, []string{"1", "", "two"}) {
		t.Errorf("%q", got)
	}
}

func TestN08_WhatIsNotForMapAndWhatIsOnlyForMap(t *testing.T) {
	p, _ := open(t, flame.Config{})
	same := func(_ context.Context, n int) (int, error) { return n, nil }
	for text, m := range map[string]iter.Seq2[int, error]{
		"nil *flame.Pool": flame.Map(t.Context(), nil, upTo(9), same),
		"nil iter.Seq":    flame.Map(t.Context(), p, nil, same),
		"Detach":          flame.Map(t.Context(), p, upTo(9), same, flame.Detach()),
		"Retry(-1)":       flame.Map(t.Context(), p, upTo(9), same, flame.Retry(-1)),
	} {
		n := 0
		for _, err := range m {
			if n++; n > 1 || err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %d: %v", text, n, err)
			}
		}
	}
	err := flame.Run(t.Context(), p, func(context.Context) error { return nil }, flame.Unordered())
	if err == nil || !strings.Contains(err.Error(), "Unordered is for Map") {
		t.Errorf("got %v", err)
	}
}

func TestN12_WhatIsPropagatedReachesTheItemsOfAMap(t *testing.T) {
	p, _ := open(t, flame.Config{Propagate: newTracing()})
	each := func(ctx context.Context, _ int) (string, error) { return traceOf(ctx), nil }
	for got, err := range flame.Map(traced(t.Context(), "trace 7"), p, slices.Values([]int{1, 2}), each) {
		if got != "trace 7 by mail" || err != nil {
			t.Errorf("got %v, %v", got, err)
		}
	}
}

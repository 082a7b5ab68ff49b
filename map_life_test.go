//go:build linux

package flame_test

import (
	"bytes"
	"context"
	"encoding"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend/inproc"
)

// mapSum maps 0 … n-1 and adds them up, with what base is on the runner.
func mapSum(t *testing.T, p *flame.Pool, n int, opts ...flame.Option) int {
	t.Helper()
	base, total := []int{1000}, 0
	for v, err := range flame.Map(t.Context(), p, upTo(n), func(_ context.Context, n int) (int, error) { return base[0] + n, nil }, opts...) {
		if err != nil {
			t.Fatal(err)
		}
		total += v - 1000
	}
	return total
}

func TestN08_EveryKindOfPoolMaps(t *testing.T) {
	for name, c := range map[string]flame.Config{
		"single use":          {SingleUse: true, Max: 2},
		"per call":            {Isolation: flame.PerCall, MaxConcurrency: 2},
		"in one process":      {Backend: inproc.New(), Max: 2, MaxConcurrency: 3},
		"one slot":            {MaxConcurrency: 1},
		"a line of one":       {MaxConcurrency: 4, MaxQueue: 1},
		"a line of few bytes": {MaxConcurrency: 4, MaxQueueBytes: 1},
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := open(t, c)
			if got := mapSum(t, p, 12); got != 66 {
				t.Errorf("got %d", got)
			}
			if got := mapSum(t, p, 12, flame.Unordered()); got != 66 {
				t.Errorf("unordered: %d", got)
			}
		})
	}
}

func TestN08_ALostRunnerTakesOnlyItsItemsAlong(t *testing.T) {
	p, r := open(t, flame.Config{MaxConcurrency: 1})
	words := []string{"zero", "one", "two", "three", "four"}
	var got []string
	for v, err := range flame.Map(t.Context(), p, upTo(5), func(_ context.Context, n int) (string, error) {
		if n == 2 {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		return words[n], nil
	}) {
		var lost *flame.RunnerLostError
		if got = append(got, v); errors.As(err, &lost) && lost.Signal == syscall.SIGKILL {
			got[len(got)-1] = "lost"
		} else if err != nil {
			t.Error(err)
		}
	}
	if fmt.Sprint(got) != "[zero one lost three four]" || len(r.booted()) != 2 {
		t.Errorf("%v on %d runners", got, len(r.booted()))
	}
}

func TestN08_ItemsGoOnWhenRunnersLeave(t *testing.T) {
	p, _ := open(t, flame.Config{MaxConcurrency: 2, Max: 2})
	words, seen := []string{"zero", "one", "two"}, int64(0)
	n := 0
	for v, err := range flame.Map(t.Context(), p, upTo(60), func(_ context.Context, n int) (string, error) {
		if atomic.AddInt64(&seen, 1) == 7 { // on each runner
			syscall.Kill(os.Getpid(), syscall.SIGTERM) // it finishes what it has
		}
		return words[n%3], nil
	}) {
		if v != words[n%3] || err != nil {
			t.Errorf("item %d: %q, %v", n, v, err)
		}
		n++
	}
	if s := p.Stats(); n != 60 || s.Boots < 3 {
		t.Errorf("%d items, %+v", n, s)
	}
}

func TestN08_RetriedItemsFindTheFunctionOnTheNextRunner(t *testing.T) {
	p, _ := open(t, flame.Config{MaxConcurrency: 2})
	words := []string{"zero", "one", "two", "three", "four"}
	var got []string
	for v, err := range flame.Map(t.Context(), p, upTo(5), func(ctx context.Context, n int) (string, error) {
		if n == 2 && flame.Attempt(ctx) == 1 {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		return words[n], nil
	}, flame.Retry(1)) {
		if err != nil {
			t.Error(err)
		}
		got = append(got, v)
	}
	if fmt.Sprint(got) != fmt.Sprint(words) {
		t.Errorf("%v", got)
	}
}

func TestN08_ARunnerMayLeaveWhileTheInputWaits(t *testing.T) {
	p, r := open(t, flame.Config{IdleShutdownAfter: 10 * time.Millisecond})
	calls, goOn := 0, make(chan struct{})
	slow := func(yield func(int) bool) {
		for i := range 3 {
			if i > 0 {
				<-goOn
			}
			if !yield(i) {
				return
			}
		}
	}
	n := 0
	for got, err := range flame.Map(t.Context(), p, slow, func(context.Context, int) (int, error) { calls++; return calls, nil }) {
		if n++; got != 1 || err != nil {
			t.Errorf("item %d was the runner's %dth: %v", n, got, err)
		}
		gone(t, mustPID(t, r.booted()[n-1].ID()))
		settle(t, func() bool { s := p.Stats(); return s.Ready+s.Draining == 0 }, func() string { return fmt.Sprintf("%+v", p.Stats()) })
		if n < 3 {
			goOn <- struct{}{}
		}
	}
	if n != 3 || len(r.booted()) != 3 {
		t.Errorf("%d items, %d runners", n, len(r.booted()))
	}
}

// mustPID reads the id of a process.
func mustPID(t *testing.T, id string) (pid int) {
	t.Helper()
	if _, err := fmt.Sscan(id, &pid); err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestN08_CapturedContextsAndLoggersWorkAsLongAsTheLoop(t *testing.T) {
	var out bytes.Buffer
	var mu sync.Mutex
	logger := slog.New(slog.NewTextHandler(locked{&mu, &out}, nil))
	p, _ := open(t, flame.Config{MaxConcurrency: 2, Max: 2})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	said := func(what string) bool {
		mu.Lock()
		defer mu.Unlock()
		return strings.Contains(out.String(), what)
	}
	n := 0
	for v, err := range flame.Map(t.Context(), p, upTo(20), func(_ context.Context, n int) (int, error) {
		logger.Info("at work", "item", fmt.Sprint("<", n, ">"))
		if n == 10 {
			<-ctx.Done()
			return n, context.Cause(ctx)
		}
		return n, nil
	}) {
		if !said(fmt.Sprint("<", n, ">")) {
			t.Errorf("item %d is there before what it has logged", n)
		}
		if n == 9 {
			cancel()
		}
		if (n == 10) != errors.Is(err, context.Canceled) || v != n && err == nil {
			t.Errorf("item %d: %d, %v", n, v, err)
		}
		n++
	}
	if n != 20 {
		t.Errorf("%d items", n)
	}
}

// locked writes under a lock.
type locked struct {
	mu *sync.Mutex
	to *bytes.Buffer
}

func (l locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.to.Write(b)
}

func TestN08_OtherCallsHaveTheirTurn(t *testing.T) {
	p, _ := open(t, flame.Config{MaxConcurrency: 2})
	var beside atomic.Int64
	var wg sync.WaitGroup
	defer wg.Wait()
	n := 0
	for _, err := range flame.Map(t.Context(), p, forever, func(_ context.Context, n int) (int, error) { return n, nil }) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 1 {
			wg.Go(func() {
				for range 10 {
					if err := flame.Run(t.Context(), p, func(context.Context) error { return nil }); err != nil {
						t.Error(err)
					}
					beside.Add(1)
				}
			})
		}
		if beside.Load() == 10 {
			break
		}
	}
}

// fussy cannot be decoded for a number of times.
type fussy struct {
	mu sync.Mutex
	n  byte
}

func (f *fussy) MarshalBinary() ([]byte, error) { return []byte{f.n}, nil }

func (f *fussy) UnmarshalBinary(n []byte) error {
	if f.n = n[0]; int(tried.Add(1)) <= int(f.n) {
		return errors.New("not yet")
	}
	return nil
}

var tried atomic.Int64 // on a runner

func TestN08_AFunctionThatCannotBeDecodedIsTheErrorOfItemsUntilItCanBe(t *testing.T) {
	p, _ := open(t, flame.Config{MaxConcurrency: 1})
	f := []encoding.BinaryMarshaler{&fussy{n: 4}}
	var got []string
	for v, err := range flame.Map(t.Context(), p, upTo(5), func(_ context.Context, n int) (string, error) {
		b, err := f[0].MarshalBinary()
		return fmt.Sprint(n + int(b[0])), err
	}) {
		var refused *flame.SendError
		if got = append(got, v); errors.As(err, &refused) && strings.Contains(err.Error(), "not yet") {
			got[len(got)-1] = "not yet"
		} else if err != nil {
			t.Error(err)
		}
	}
	if fmt.Sprint(got) != "[not yet not yet not yet 7 8]" { // it was tried once when it came
		t.Errorf("got %v", got)
	}
}

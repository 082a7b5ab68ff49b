//go:build linux

package flame_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend/inproc"
)

// step is what the functions of these tests send.
type step struct {
	Name  string
	Data  []byte
	err   error
	after *step
}

func TestN02_WhatAFunctionSendsTheParentReceivesInOrder(t *testing.T) {
	for name, c := range map[string]flame.Config{"processes": {}, "PerCall": {Isolation: flame.PerCall}, "inproc": {Backend: inproc.New()}} {
		for _, size := range []int{0, 1, 100} {
			t.Run(fmt.Sprint(name, " ", size), func(t *testing.T) {
				p, _ := open(t, c)
				steps := make(chan step, size)
				var out chan<- step = steps
				task := flame.Start(t.Context(), p, func(context.Context) (int, error) {
					defer close(out)
					for i := range 300 {
						out <- step{Name: fmt.Sprint(i), Data: make([]byte, i), after: &step{Name: "after"}}
					}
					return cap(out), nil
				})
				n := 0
				for s := range steps {
					if s.Name != fmt.Sprint(n) || len(s.Data) != n || s.after.Name != "after" {
						t.Fatalf("element %d is %+v", n, s)
					}
					n++
				}
				if got, err := task.Wait(t.Context()); got != size || err != nil || n != 300 {
					t.Errorf("capacity %d, %v, after %d elements", got, err, n)
				}
			})
		}
	}
}

func TestN02_WhatTheParentSendsAFunctionReceivesInOrder(t *testing.T) {
	for name, c := range map[string]flame.Config{"processes": {}, "PerCall": {Isolation: flame.PerCall}, "inproc": {Backend: inproc.New()}} {
		for _, size := range []int{0, 1, 100} {
			t.Run(fmt.Sprint(name, " ", size), func(t *testing.T) {
				p, _ := open(t, c)
				both := make(chan step, size)
				var in <-chan step = both
				task := flame.Start(t.Context(), p, func(context.Context) (string, error) {
					n := 0
					for s := range in {
						if s.Name != fmt.Sprint(n) || len(s.Data) != n*1000 {
							return "", fmt.Errorf("element %d is %s with %d bytes", n, s.Name, len(s.Data))
						}
						n++
					}
					return fmt.Sprint(n, " ", cap(in)), nil
				})
				for i := range 300 {
					both <- step{Name: fmt.Sprint(i), Data: make([]byte, i*1000)}
				}
				close(both)
				if got, err := task.Wait(t.Context()); got != fmt.Sprint(300, " ", size) || err != nil {
					t.Errorf("%q, %v", got, err)
				}
			})
		}
	}
}

func TestN02_ElementsOfEverySizeAndKind(t *testing.T) {
	p, _ := open(t, flame.Config{})
	large := make(chan []byte, 2)
	var out chan<- []byte = large
	failures := make(chan error, 3)
	var fail chan<- error = failures
	task := flame.Start(t.Context(), p, func(context.Context) (int, error) {
		for _, n := range []int{0, 1, 64 << 10, 5 << 20, 12 << 20} {
			b := make([]byte, n)
			for i := range b {
				b[i] = byte(i % 251)
			}
			out <- b
		}
		fail <- os.ErrNotExist
		fail <- fmt.Errorf("read: %w", os.ErrPermission)
		fail <- nil
		return 0, nil
	})
	for _, n := range []int{0, 1, 64 << 10, 5 << 20, 12 << 20} {
		b := <-large
		if len(b) != n || n > 1000 && (b[1000] != 1000%251 || b[n-1] != byte((n-1)%251)) {
			t.Fatalf("%d bytes instead of %d", len(b), n)
		}
	}
	if a, b, c := <-failures, <-failures, <-failures; a != os.ErrNotExist || !errors.Is(b, os.ErrPermission) || c != nil {
		t.Errorf("%v, %v, %v", a, b, c)
	}
	if _, err := task.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestN02_SendsBlockWhenNobodyReceives(t *testing.T) {
	for _, size := range []int{0, 1, 5} {
		p, _ := open(t, flame.Config{})
		steps, sent := make(chan int, size), make(chan int, 100)
		var out, count chan<- int = steps, sent
		task := flame.Start(t.Context(), p, func(ctx context.Context) (int, error) {
			for i := range 50 {
				select {
				case out <- i:
					count <- i
				case <-ctx.Done():
					return i, ctx.Err()
				}
			}
			return 50, nil
		})
		quiet, last := time.NewTimer(time.Second), -1
		for waiting := true; waiting; {
			select {
			case last = <-sent:
			case <-quiet.C:
				waiting = false
			}
		}
		if most := size + size + 1; last+1 > most || last+1 < size+1 {
			t.Errorf("%d elements were sent to a channel of %d that nobody reads", last+1, size)
		}
		for i := range 50 {
			if got := <-steps; got != i {
				t.Fatalf("received %d instead of %d", got, i)
			}
		}
		if got, err := task.Wait(t.Context()); got != 50 || err != nil {
			t.Errorf("%d, %v", got, err)
		}
	}
}

func TestN02_NoMoreIsReceivedAheadThanTheFunctionsChannelHolds(t *testing.T) {
	for _, size := range []int{0, 1, 5} {
		p, _ := open(t, flame.Config{})
		small := make(chan int, size)
		var from <-chan int = small
		n := listen(t)
		addr := n.addr
		task := flame.Start(t.Context(), p, func(ctx context.Context) (int, error) {
			first := <-from
			tell(addr, "one")
			<-ctx.Done()
			return first, nil
		})
		for i := range 1 + size + 1 {
			small <- i
		}
		n.next(t)
		more := 0
		for quiet := time.NewTimer(300 * time.Millisecond); ; more++ {
			select {
			case small <- 99:
				continue
			case <-quiet.C:
			}
			break
		}
		if more > size { // what the channel itself holds
			t.Errorf("capacity %d: %d elements more than those ahead were taken", size, more-size)
		}
		task.Cancel()
	}
}

func TestN02_SeveralCallsSendToOneChannel(t *testing.T) {
	p, _ := open(t, flame.Config{Max: 2, MaxConcurrency: 10})
	all := make(chan int)
	var out chan<- int = all
	var tasks []*flame.Task[int]
	for i := range 20 {
		tasks = append(tasks, flame.Start(t.Context(), p, func(context.Context) (int, error) {
			for j := range 50 {
				out <- i*50 + j
			}
			return 0, nil
		}))
	}
	seen, last := make(map[int]bool), make(map[int]int)
	for range 1000 {
		v := <-all
		if seen[v] || last[v/50] > v {
			t.Fatalf("%d came twice or out of order", v)
		}
		seen[v], last[v/50] = true, v
	}
	for _, task := range tasks {
		if _, err := task.Wait(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestN02_SendingWhereTheParentHasClosedEndsTheCallOnly(t *testing.T) {
	p, _ := open(t, flame.Config{})
	steps := make(chan int)
	close(steps)
	var out chan<- int = steps
	for name, use := range map[string]func(){"send": func() { out <- 1; out <- 2; out <- 3 }, "close": func() { close(out) }} {
		err := flame.Run(t.Context(), p, func(ctx context.Context) error {
			use()
			<-ctx.Done()
			return nil
		})
		if err == nil || !strings.Contains(err.Error(), "closed on the parent") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := flame.Run(t.Context(), p, func(context.Context) error { return nil }); err != nil {
		t.Error(err)
	}
}

func TestN02_TheEndOfACallClosesNothingOnTheParent(t *testing.T) {
	p, _ := open(t, flame.Config{})
	steps := make(chan int, 1)
	var out chan<- int = steps
	for i := range 3 {
		if err := flame.Run(t.Context(), p, func(context.Context) error { out <- i; return nil }); err != nil {
			t.Fatal(err)
		}
		if got, open := <-steps; got != i || !open {
			t.Errorf("received %d, %v", got, open)
		}
	}
}

func TestN02_AfterACallNothingLeftBehindPanicsOrBlocks(t *testing.T) {
	p, _ := open(t, flame.Config{})
	steps, work := make(chan int, 1), make(chan int, 1)
	var out chan<- int = steps
	var in <-chan int = work
	n := listen(t)
	addr := n.addr
	err := flame.Run(t.Context(), p, func(ctx context.Context) error {
		var left sync.WaitGroup // nobody waits for it
		left.Go(func() {
			for range in {
			}
			<-ctx.Done()
			for i := range 10 {
				out <- i
			}
			close(out)
			tell(addr, "still there")
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	n.next(t)
	if err := flame.Run(t.Context(), p, func(context.Context) error { return nil }); err != nil {
		t.Error(err)
	}
	select {
	case v := <-steps:
		t.Errorf("%d was sent after the call", v)
	default:
	}
}

func TestN02_ACancelledFunctionIsNotHeldByItsChannels(t *testing.T) {
	p, _ := open(t, flame.Config{})
	never := make(chan int)
	var out chan<- int = never
	var in <-chan int = never
	n := listen(t)
	addr := n.addr
	for name, wait := range map[string]func(){"send": func() { out <- 1; out <- 2 }, "receive": func() { <-in }} {
		ctx, cancel := context.WithCancel(t.Context())
		task := flame.Start(ctx, p, func(context.Context) (int, error) {
			tell(addr, name)
			wait()
			tell(addr, name+" is over")
			return 0, nil
		})
		n.next(t)
		cancel()
		if got := n.next(t); got != name+" is over" {
			t.Errorf("%s: %q", name, got)
		}
		if _, err := task.Wait(t.Context()); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestN02_WhatCannotPassIsRefusedBeforeAnythingIsSent(t *testing.T) {
	p, _ := open(t, flame.Config{})
	both, locks, files := make(chan int), make(chan<- *sync.Mutex), make(<-chan *os.File)
	for name, c := range map[string]struct {
		fn   func(context.Context) error
		says []string
	}{
		"both ways": {func(context.Context) error { both <- 1; return nil }, []string{"chan int", "var progress chan<- int = ch"}},
		"locks":     {func(context.Context) error { locks <- nil; return nil }, []string{"an element → *sync.Mutex", "goroutines of one process"}},
		"files":     {func(context.Context) error { <-files; return nil }, []string{"an element → *os.File", "open in this process only"}},
	} {
		err := flame.Run(t.Context(), p, c.fn)
		var refused *flame.SendError
		if !errors.As(err, &refused) || flame.Ran(err) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, want := range c.says {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q is not in: %v", name, want, err)
			}
		}
	}
}

func TestF13_WhatServesAResultMayStillSend(t *testing.T) {
	p, _ := open(t, flame.Config{})
	steps := make(chan int)
	var progress chan<- int = steps
	body, err := flame.Call(t.Context(), p, func(ctx context.Context) (io.ReadCloser, error) {
		from, to := io.Pipe()
		var copying sync.WaitGroup // it ends with the reader
		copying.Go(func() {
			for i := range 5 {
				progress <- i
				fmt.Fprint(to, i)
			}
			to.Close()
		})
		return from, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	for i := range 5 {
		if got := <-steps; got != i {
			t.Errorf("step %d came instead of %d", got, i)
		}
		b := make([]byte, 1)
		if _, err := io.ReadFull(body, b); err != nil || b[0] != byte('0'+i) {
			t.Errorf("read %q, %v", b, err)
		}
	}
}

func TestN08_AMappedFunctionSendsToOneChannel(t *testing.T) {
	p, _ := open(t, flame.Config{Max: 2, MaxConcurrency: 4})
	steps := make(chan int, 10)
	var progress chan<- int = steps
	var got sync.WaitGroup
	seen := 0
	got.Go(func() {
		for range steps {
			seen++
		}
	})
	n := 0
	for v, err := range flame.Map(t.Context(), p, slices.Values(make([]int, 200)), func(_ context.Context, i int) (int, error) {
		progress <- i
		return i, nil
	}) {
		if err != nil {
			t.Fatal(err)
		}
		n += 1 + v
	}
	close(steps)
	if got.Wait(); n != 200 || seen != 200 {
		t.Errorf("%d results, %d steps", n, seen)
	}
}

func TestN02_WithRetryTheSecondRunSendsAll(t *testing.T) {
	for name, c := range map[string]flame.Config{"processes": {}, "PerCall": {Isolation: flame.PerCall}} {
		t.Run(name, func(t *testing.T) {
			p, _ := open(t, c)
			steps := make(chan string, 2)
			var out chan<- string = steps
			task := flame.Start(t.Context(), p, func(ctx context.Context) (int, error) {
				defer close(out)
				run := flame.Attempt(ctx)
				for i := range 10 {
					out <- fmt.Sprint(run, " ", i)
				}
				if run == 1 {
					os.Exit(3)
				}
				return run, nil
			}, flame.Retry(1))
			second := 0
			for s := range steps {
				if s == fmt.Sprint("2 ", second) {
					second++
				}
			}
			if run, err := task.Wait(t.Context()); run != 2 || err != nil || second != 10 {
				t.Errorf("run %d, %v, %d elements of it", run, err, second)
			}
		})
	}
}

func TestN02_AnElementLargerThanTheLimitIsNamed(t *testing.T) {
	p, _ := open(t, flame.Config{MessageLimit: 1 << 20})
	large := make(chan []byte, 1)
	var out chan<- []byte = large
	err := flame.Run(t.Context(), p, func(context.Context) error { out <- make([]byte, 2<<20); return nil })
	if err == nil || !strings.Contains(err.Error(), "send an element to a chan []uint8") {
		t.Error(err)
	}
}

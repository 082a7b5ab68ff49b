//go:build linux

package flame_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
)

func TestN02_AHundredThousandElementsComeInOrder(t *testing.T) {
	const n = 100_000
	isolations(t, func(t *testing.T, c flame.Config) {
		p, _ := open(t, c)
		tidy(t, p)
		there, back := make(chan int, 64), make(chan int, 64)
		var in <-chan int = there
		var out chan<- int = back
		task := flame.Start(t.Context(), p, func(context.Context) (int, error) {
			seen := 0
			for v := range in {
				if v != seen {
					return seen, fmt.Errorf("%d came instead of %d", v, seen)
				}
				seen++
			}
			for i := range n {
				out <- i
			}
			close(out)
			return seen, nil
		})
		for i := range n {
			select {
			case there <- i:
			case <-task.Done():
				_, err := task.Wait(t.Context())
				t.Fatalf("it ended before element %d: %v", i, err)
			}
		}
		close(there)
		next := 0
		for v := range back {
			if v != next {
				t.Fatalf("%d came back instead of %d", v, next)
			}
			next++
		}
		if got, err := task.Wait(t.Context()); got != n || err != nil || next != n {
			t.Errorf("%d went there, %d came back: %v", got, next, err)
		}
	})
}

func TestN02_ARunnerKilledWhileAFunctionWaitsForAnElement(t *testing.T) {
	isolations(t, func(t *testing.T, c flame.Config) {
		p, _ := open(t, c)
		tidy(t, p)
		work, heard := make(chan int, 10), listen(t)
		var in <-chan int = work
		addr := heard.addr
		task := flame.Start(t.Context(), p, func(context.Context) (int, error) {
			if first := <-in; first != 7 {
				return first, errors.New("that is another element")
			}
			tell(addr, fmt.Sprint(os.Getpid()))
			return <-in, nil
		})
		work <- 7
		pid, err := strconv.Atoi(heard.next(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_, err = task.Wait(t.Context())
		var lost *flame.RunnerLostError
		if !errors.As(err, &lost) || !lost.Started || lost.Signal != syscall.SIGKILL {
			t.Errorf("got %v", err)
		}
		for i := range cap(work) { // the channel is as good as ever, and nobody else takes anything out of it
			work <- i
		}
		got, err := flame.Call(t.Context(), p, func(context.Context) (int, error) { return 100*<-in + <-in, nil })
		if got != 1 || err != nil {
			t.Errorf("another call has received %d, %v", got, err)
		}
	})
}

func TestN02_NobodyReceivesUntilTheDeadline(t *testing.T) {
	isolations(t, func(t *testing.T, c flame.Config) {
		p, _ := open(t, c)
		tidy(t, p)
		for _, size := range []int{0, 3} {
			steps := make(chan []byte, size)
			var out chan<- []byte = steps
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			err := flame.Run(ctx, p, func(ctx context.Context) error {
				for ctx.Err() == nil {
					out <- make([]byte, 10_000)
				}
				return nil
			})
			cancel()
			var late *flame.TimeoutError
			if !errors.As(err, &late) || !late.Started || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("capacity %d: %v", size, err)
			}
			if len(steps) > size {
				t.Errorf("%d elements in a channel of %d", len(steps), size)
			}
			for len(steps) > 0 {
				<-steps
			}
			select {
			case <-steps:
				t.Errorf("capacity %d: an element came after the call", size)
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
}

//go:build linux

package flame_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend"
)

func TestB01_EveryCallHasOneOutcomeWhileRunnersAreKilled(t *testing.T) {
	p, r := open(t, flame.Config{Min: 2, Max: 4, MaxConcurrency: 20})
	end := time.Now().Add(3 * time.Second)
	var wg sync.WaitGroup
	var ok, lost, other atomic.Int64
	for range 64 {
		wg.Go(func() {
			for time.Now().Before(end) {
				_, err := flame.Call(t.Context(), p, func(context.Context) (int, error) { <-time.After(2 * time.Millisecond); return 1, nil })
				var l *flame.RunnerLostError
				switch {
				case err == nil:
					ok.Add(1)
				case errors.As(err, &l) && l.Started:
					lost.Add(1)
				default:
					other.Add(1)
					t.Error(err)
				}
			}
		})
	}
	kills := 0
	for tick := time.NewTicker(300 * time.Millisecond); time.Now().Before(end); <-tick.C {
		if i := alive(r); i != nil {
			kill(t, i)
			kills++
		}
	}
	wg.Wait()
	if s := p.Stats(); s.Lost != uint64(lost.Load()) || s.Ended != uint64(ok.Load()) || s.Arrived != s.Ended+s.Lost {
		t.Errorf("%d ok, %d lost, %+v", ok.Load(), lost.Load(), s)
	}
	if kills < 5 || lost.Load() == 0 || lost.Load() > int64(kills*20) {
		t.Errorf("%d kills, %d calls were lost", kills, lost.Load())
	}
	settle(t, func() bool { return p.Stats().Ready >= 2 }, func() string { return "Min was not restored" })
	t.Logf("%d kills: %d calls ended, %d were lost with their runner", kills, ok.Load(), lost.Load())
}

// alive returns a runner that has not ended.
func alive(r *recorder) backend.Instance {
	for _, i := range r.booted() {
		select {
		case <-i.Done():
		default:
			return i
		}
	}
	return nil
}

func TestB02_MinIsRestoredWhenRunnersAreKilledDuringBoot(t *testing.T) {
	p, r := open(t, flame.Config{Min: 2, Max: 2, MaxConcurrency: 1})
	const kills = 4 // each makes the pool wait longer before it tries again
	for killed := 0; killed < kills; {
		if i := alive(r); i != nil {
			kill(t, i) // it is ready, or just booting
			<-i.Done()
			killed++
		}
	}
	restored := func() bool {
		s := p.Stats()
		return s.Ready == 2 && s.Gone+s.BootsFailed == kills
	}
	settle(t, restored, func() string { return "Min was not restored" })
	pid(t, p)
}

func TestB05_NoCallIsLostToRunnersThatLeaveBecauseTheyAreIdle(t *testing.T) {
	p, _ := open(t, flame.Config{Max: 4, MaxConcurrency: 2, IdleShutdownAfter: time.Millisecond})
	const callers, calls = 20, 500
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			pause := time.NewTicker(time.Duration(1+caller%5) * time.Millisecond / 2) // about as long as a runner stays
			defer pause.Stop()
			for range calls {
				<-pause.C
				if err := flame.Run(t.Context(), p, func(context.Context) error { return nil }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if s := p.Stats(); s.Ended != callers*calls || s.Lost+s.Failed+s.Refused != 0 {
		t.Errorf("%+v", s)
	}
	t.Logf("%d calls, %d runners", callers*calls, p.Stats().Joined)
}

func TestF07_DetachedWorkGoesOnWhenItsContextEnds(t *testing.T) {
	p, _ := open(t, flame.Config{})
	n := listen(t)
	addr := n.addr
	ctx, cancel := context.WithCancel(t.Context())
	task := flame.Start(ctx, p, func(own context.Context) (int, error) {
		err := hold(addr)
		return 7, errors.Join(err, own.Err())
	}, flame.Detach())
	n.next(t)
	cancel()
	n.release()
	if got, err := task.Wait(t.Context()); got != 7 || err != nil {
		t.Errorf("%d, %v", got, err)
	}
}

func TestN06_ALostCallIsRunAgainIfItMayBe(t *testing.T) {
	for _, isolation := range []flame.Isolation{flame.Shared, flame.PerCall} {
		p, _ := open(t, flame.Config{Max: 2, MaxConcurrency: 1, Isolation: isolation})
		last := 3
		dies := func(ctx context.Context) (int, error) {
			if n := flame.Attempt(ctx); n < last {
				os.Exit(9)
			}
			return flame.Attempt(ctx), nil
		}
		if got, err := flame.Call(t.Context(), p, dies, flame.Retry(2)); got != 3 || err != nil {
			t.Errorf("isolation %d: run %d, %v", isolation, got, err)
		}
		last = 4
		_, err := flame.Call(t.Context(), p, dies, flame.Retry(2))
		var lost *flame.RunnerLostError
		if !errors.As(err, &lost) || !lost.Started || lost.ExitCode != 9 {
			t.Errorf("isolation %d: %v", isolation, err)
		}
		if s := p.Stats(); s.Retried != 4 {
			t.Errorf("isolation %d: %d runs more", isolation, s.Retried)
		}
	}
	if n := flame.Attempt(t.Context()); n != 1 {
		t.Errorf("outside a call: %d", n)
	}
}

func TestN06_WhatIsLentToACallThatIsRunAgain(t *testing.T) {
	p, _ := open(t, flame.Config{Max: 2, MaxConcurrency: 1})
	var said paper
	log := slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{ReplaceAttr: untimed}))
	end, cancel := context.WithCancel(t.Context())
	cancel()
	got, err := flame.Call(t.Context(), p, func(ctx context.Context) (string, error) {
		log.Info("runs", "attempt", flame.Attempt(ctx))
		if flame.Attempt(ctx) < 3 {
			os.Exit(0)
		}
		<-end.Done()
		return end.Err().Error(), nil
	}, flame.Retry(2))
	if got != "context canceled" || err != nil || !strings.Contains(said.read(), "attempt=3") {
		t.Errorf("%q, %v, %s", got, err, said.read())
	}
	var in io.Reader = strings.NewReader("once")
	read := func(context.Context) (string, error) { return sum(in) }
	if _, err := flame.Call(t.Context(), p, read, flame.Retry(1)); err == nil || flame.Ran(err) || !strings.Contains(err.Error(), "lend an io.Reader: a reader or writer can be used once, and with Retry") {
		t.Errorf("a reader: %v", err)
	}
	if _, err := flame.Call(t.Context(), p, read); err != nil {
		t.Errorf("without Retry: %v", err)
	}
}

// detachedProgram starts detached work and other work, and says which process has it.
func detachedProgram(c flame.Config) {
	flame.ServeIfRunner(func(context.Context) {
		if err := tell(os.Getenv("FLAME_TEST_NEWS"), "cleaned up"); err != nil {
			panic(err)
		}
	})
	p, err := flame.Open(context.Background(), c)
	if err != nil {
		panic(err)
	}
	addr := os.Getenv("FLAME_TEST_NEWS")
	never := make(chan string)
	var out chan<- string = never
	var in <-chan string = never
	work := func(name string) func(context.Context) error {
		return func(ctx context.Context) error {
			tell(addr, fmt.Sprint(name, " ", os.Getpid()))
			select {
			case <-ctx.Done():
			case <-time.After(2 * time.Second): // with the race detector the first cause takes most of one to pack
			}
			for range 3 { // nobody holds it up
				select {
				case out <- name:
				case <-ctx.Done():
				}
				select {
				case <-in:
				case <-ctx.Done():
				}
			}
			return tell(addr, fmt.Sprint(name, ": ", ctx.Err()))
		}
	}
	if err := flame.Cast(context.Background(), p, work("cast")); err != nil {
		panic(err)
	}
	if err := flame.Cast(context.Background(), p, work("detached"), flame.Detach()); err != nil {
		panic(err)
	}
	select {}
}

func TestB10_DetachedWorkIsFinishedWhenTheParentIsKilled(t *testing.T) { finishDetached(t, "detached") }

func TestB10_DetachedWorkInAProcessOfItsOwnIsFinished(t *testing.T) {
	finishDetached(t, "detached PerCall")
}

func finishDetached(t *testing.T, name string) {
	n := listen(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), programVariable+"="+name, "FLAME_TEST_NEWS="+n.addr)
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pids [2]int
	for range pids {
		line := n.next(t)
		if pid, ok := strings.CutPrefix(line, "detached "); ok {
			fmt.Sscan(pid, &pids[0])
		}
	}
	cmd.Process.Kill()
	cmd.Wait()
	for _, want := range []string{"cast: context canceled", "detached: <nil>", "cleaned up"} {
		if got := n.next(t); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	gone(t, pids[0])
}

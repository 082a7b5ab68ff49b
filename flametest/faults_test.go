package flametest_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/flametest"
)

// open returns a pool of one runner that is there, with faults.
func open(t *testing.T, f *flametest.Faults) (*flame.Pool, string) {
	t.Helper()
	p := flametest.Pool(t, flametest.Config(flame.Config{Min: 1, Backend: f}))
	return p, f.Runners()[0]
}

func sleepFor(d time.Duration) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		select {
		case <-time.After(d):
			return "slept", nil
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
}

func TestAKilledRunnerIsLostWithItsCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := new(flametest.Faults)
		p, runner := open(t, f)
		task := flame.Start(t.Context(), p, sleepFor(time.Minute), flame.Timeout(time.Hour))
		synctest.Wait()
		if !f.Kill(runner) || f.Kill("nobody") {
			t.Error("Kill does not know who lives")
		}
		_, err := task.Wait(t.Context())
		lost := new(flame.RunnerLostError)
		if !errors.As(err, &lost) || !lost.Started || lost.Signal != os.Signal(syscall.SIGKILL) {
			t.Errorf("got %v", err)
		}
		// Then another one comes.
		if got, err := flame.Call(t.Context(), p, sleepFor(time.Second)); got != "slept" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		if slices.Contains(f.Runners(), runner) {
			t.Error("it is dead and lives")
		}
	})
}

func TestACutConnectionLosesItsRunner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := new(flametest.Faults)
		p, runner := open(t, f)
		task := flame.Start(t.Context(), p, sleepFor(time.Minute), flame.Timeout(time.Hour))
		synctest.Wait()
		f.Cut(runner)
		_, err := task.Wait(t.Context())
		if lost := new(flame.RunnerLostError); !errors.As(err, &lost) || !lost.Started {
			t.Errorf("got %v", err)
		}
	})
}

func TestAStalledConnectionGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := new(flametest.Faults)
		p, runner := open(t, f)
		begun := time.Now()
		f.Stall(runner, 4*time.Second)
		if got, err := flame.Call(t.Context(), p, sleepFor(time.Second)); got != "slept" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		if took := time.Since(begun); took != 5*time.Second {
			t.Errorf("took %v", took)
		}
		f.Stall(runner, time.Hour)
		_, err := flame.Call(t.Context(), p, sleepFor(time.Second), flame.Timeout(-1))
		if lost := new(flame.RunnerLostError); !errors.As(err, &lost) {
			t.Errorf("got %v", err)
		}
	})
}

func TestBootsFailAsToldAndAtRandom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := errors.New("no machine is free")
		f := &flametest.Faults{BootTime: 2 * time.Second}
		f.FailBoots(2, full)
		p := flametest.Pool(t, flametest.Config(flame.Config{Backend: f}))
		boots := 0
		stop := p.Subscribe(func(e flame.Event) {
			if e.Kind == flame.BootFailed && errors.Is(e.Err, full) {
				boots++
			}
		})
		defer stop()
		if got, err := flame.Call(t.Context(), p, sleepFor(0)); got != "slept" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		if synctest.Wait(); boots != 2 {
			t.Errorf("%d boots failed", boots)
		}

		never := &flametest.Faults{BootErrors: 1}
		_, err := flame.Open(t.Context(), flame.Config{Min: 1, Backend: never})
		if !errors.Is(err, flametest.ErrNoBoot) {
			t.Errorf("got %v", err)
		}
		dumb := &flametest.Faults{BootHangs: 1}
		_, err = flame.Open(t.Context(), flame.Config{Min: 1, Backend: dumb, BootTimeout: time.Minute})
		if boot := new(flame.BootError); !errors.As(err, &boot) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

// outcomes are those of calls, one after the other, on a pool with faults.
func outcomes(t *testing.T, f *flametest.Faults) (all []string) {
	p := flametest.Pool(t, flametest.Config(flame.Config{Backend: f, SingleUse: true}))
	for range 60 {
		sent := make([]byte, 8<<10)
		_, err := flame.Call(t.Context(), p, func(ctx context.Context) ([]byte, error) { return sent, nil }, flame.Timeout(time.Minute))
		switch lost := new(flame.RunnerLostError); {
		case err == nil:
			all = append(all, "ok")
		case errors.As(err, &lost) && lost.Signal != nil:
			all = append(all, "killed")
		default:
			all = append(all, err.Error())
		}
	}
	return all
}

func TestTheSameSeedBringsTheSameFaults(t *testing.T) {
	var runs [3][]string
	for i, seed := range []uint64{1, 1, 2} {
		synctest.Test(t, func(t *testing.T) {
			runs[i] = outcomes(t, &flametest.Faults{
				Seed: seed, Deaths: 0.4, Stalls: 0.5, StallTime: 3 * time.Second, Within: 16 << 10,
				BootTime: time.Second, Delay: 10 * time.Millisecond,
			})
		})
	}
	if !slices.Equal(runs[0], runs[1]) {
		t.Errorf("one seed, twice:\n%v\n%v", runs[0], runs[1])
	}
	if slices.Equal(runs[0], runs[2]) || !slices.Contains(runs[0], "killed") || !slices.Contains(runs[0], "ok") {
		t.Errorf("seeds do not matter, or nothing happens:\n%v\n%v", runs[0], runs[2])
	}
}

//go:build linux

package runner

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetinglambda/flame/internal/session"
)

// stuck is somewhere that a stack shows; file tells that it is there.
func stuck(ctx context.Context, file string) (string, error) {
	var wg sync.WaitGroup
	wg.Go(func() { stuckBeside(ctx, file) })
	wg.Wait()
	return "over", nil
}

func stuckBeside(ctx context.Context, file string) {
	os.WriteFile(file, nil, 0o600)
	<-ctx.Done()
}

// await waits until there is a file.
func await(t *testing.T, file string) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for start := time.Now(); ; <-tick.C {
		if _, err := os.Stat(file); err == nil {
			return
		}
		if time.Since(start) > 30*time.Second {
			t.Fatal("the function does not begin")
		}
	}
}

func TestN14_StacksAreThoseOfOneCall(t *testing.T) {
	shared := inside(t)
	slots, _ := withSlots(t, 2, time.Minute)
	for name, s := range map[string]*session.Session{"shared": shared, "own processes": slots} {
		t.Run(name, func(t *testing.T) {
			// Given two calls.
			dir := t.TempDir()
			here, there := filepath.Join(dir, "here"), filepath.Join(dir, "there")
			one, oneOver := start(t, s, 0, func(ctx context.Context) (string, error) { return stuck(ctx, here) })
			other, otherOver := start(t, s, 0, func(ctx context.Context) (string, error) { stuckBeside(ctx, there); return "", nil })
			await(t, here)
			await(t, there)
			// When asked for the stacks of one, then there are those of its goroutines.
			text, err := s.Stacks(t.Context(), one)
			if err != nil || !strings.Contains(string(text), "runner.stuck(") || strings.Count(string(text), "runner.stuckBeside(") != 1 || strings.Count("\n"+string(text), "\ngoroutine ") != 2 {
				t.Errorf("%v\n%s", err, text)
			}
			text, err = s.Stacks(t.Context(), other)
			if err != nil || strings.Contains(string(text), "runner.stuck(") || strings.Count(string(text), "runner.stuckBeside(") != 1 || strings.Count("\n"+string(text), "\ngoroutine ") != 1 {
				t.Errorf("%v\n%s", err, text)
			}
			// And of the runner there are more.
			if text, err = s.Stacks(t.Context(), nil); err != nil || strings.Count("\n"+string(text), "\ngoroutine ") < 3 || len(text) > 64<<10 {
				t.Errorf("%v\n%s", err, text)
			}
			s.Cancel(one)
			s.Cancel(other)
			<-oneOver
			<-otherOver
		})
	}
}

func TestN14_AnOverdueCallTellsWhereItWas(t *testing.T) {
	s, _ := withSlots(t, 1, 20*time.Millisecond)
	file := filepath.Join(t.TempDir(), "begun")
	_, answer := start(t, s, 100*time.Millisecond, func(context.Context) (string, error) {
		return stuck(context.Background(), file) // a context that never ends
	})
	r := <-answer
	lost, started := WasLost(r.Data)
	d, err := ReadLost(r.Data)
	if !lost || !started || err != nil || !strings.Contains(d.Why, "ignored for 20ms") || d.Signal != 9 || !d.Exited {
		t.Errorf("%v %v %v: %+v", lost, started, err, d)
	}
	if !strings.Contains(string(d.Stacks), "runner.stuckBeside(") {
		t.Errorf("its stacks:\n%s", d.Stacks)
	}
	_, answer = start(t, s, 0, func(context.Context) (string, error) { return "", errors.New("next") })
	if r := <-answer; len(r.Data) == 0 || Outcome(r.Data[0]) != Failed {
		t.Errorf("the next call: %+v", r)
	}
}

func TestWhatIsNoDeathIsRefused(t *testing.T) {
	whole := string(bytes.Join(Death{Why: "why"}.lost(true), nil))
	if d, err := ReadLost([]byte(whole)); err != nil || d.Why != "why" {
		t.Errorf("%+v, %v", d, err)
	}
	for _, answer := range []string{"", "\x07", "\x01" + whole[1:], "\x07\x01", "\x07\x01garbage", whole[:len(whole)-1]} {
		if _, err := ReadLost([]byte(answer)); err == nil {
			t.Errorf("%q says how a process was lost", answer)
		}
	}
	if lost, started := WasLost(bytes.Join(Death{}.lost(false), nil)); !lost || started {
		t.Error("a call that did not start")
	}
}

//go:build linux

package flame_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fleetinglambda/flame"
)

// occupied opens a pool with one slot, which is taken until the news is released.
func occupied(t *testing.T, c flame.Config) (*flame.Pool, *news) {
	t.Helper()
	c.MaxConcurrency = 1
	p, _ := open(t, c)
	n := listen(t)
	addr := n.addr
	if err := flame.Cast(t.Context(), p, func(context.Context) error { return hold(addr) }); err != nil {
		t.Fatal(err)
	}
	n.next(t)
	return p, n
}

func TestN07_AFullQueueRefusesAtOnce(t *testing.T) {
	p, n := occupied(t, flame.Config{MaxQueue: 2})
	nothing := func(context.Context) error { return nil }
	for range 2 {
		if err := flame.Cast(t.Context(), p, nothing); err != nil {
			t.Fatal(err)
		}
	}
	err := flame.Run(t.Context(), p, nothing)
	if !errors.Is(err, flame.ErrQueueFull) || flame.Ran(err) {
		t.Errorf("Run: %v", err)
	}
	if err := flame.Cast(t.Context(), p, nothing); !errors.Is(err, flame.ErrQueueFull) {
		t.Errorf("Cast: %v", err)
	}
	if s := p.Stats(); s.Waiting != 2 || s.Refused != 2 {
		t.Errorf("%+v", s)
	}
	n.release()
	if err := p.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if s := p.Stats(); s.Ended != 3 {
		t.Errorf("%+v", s)
	}
}

func TestN07_AQueueIsFullOfBytesToo(t *testing.T) {
	p, n := occupied(t, flame.Config{MaxQueueBytes: 1 << 20})
	defer n.release()
	text := strings.Repeat("x", 600<<10)
	carry := func() error {
		return flame.Cast(t.Context(), p, func(context.Context) error { _ = len(text); return errors.New(text[:1]) })
	}
	if err := carry(); err != nil {
		t.Fatal(err)
	}
	if err := carry(); !errors.Is(err, flame.ErrQueueFull) {
		t.Errorf("got %v", err)
	}
	if s := p.Stats(); s.WaitingBytes < 600<<10 || s.Waiting != 1 {
		t.Errorf("%+v", s)
	}
}

func TestN07_AHigherPriorityGoesFirstAndEqualOnesInTurn(t *testing.T) {
	p, n := occupied(t, flame.Config{})
	addr := n.addr
	for i, priority := range []int{0, -1, 5, 0, 5} {
		name := fmt.Sprintf("%d of %d", i, priority)
		if err := flame.Cast(t.Context(), p, func(context.Context) error { return tell(addr, name) }, flame.Priority(priority)); err != nil {
			t.Fatal(err)
		}
	}
	if got := fmt.Sprint(p.Stats().Line); got != "[{5 2} {0 2} {-1 1}]" {
		t.Errorf("in line: %s", got)
	}
	n.release()
	for _, want := range []string{"2 of 5", "4 of 5", "0 of 0", "3 of 0", "1 of -1"} {
		if got := n.next(t); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestN07_OptionsThatAreWrong(t *testing.T) {
	p, r := open(t, flame.Config{})
	err := flame.Run(t.Context(), p, func(context.Context) error { return nil }, flame.Retry(-1))
	if err == nil || !strings.Contains(err.Error(), "Retry(-1): it must be 0 or more") || flame.Ran(err) || len(r.booted()) > 0 {
		t.Errorf("got %v", err)
	}
}

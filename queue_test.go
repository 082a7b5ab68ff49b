//go:build linux

package flame_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
	order := filepath.Join(t.TempDir(), "order")
	for i, priority := range []int{0, -1, 5, 0, 5} {
		name := fmt.Sprintf("%d of %d\n", i, priority)
		write := func(context.Context) error {
			f, err := os.OpenFile(order, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
			if err != nil {
				return err
			}
			_, err = f.WriteString(name)
			return errors.Join(err, f.Close())
		}
		if err := flame.Cast(t.Context(), p, write, flame.Priority(priority)); err != nil {
			t.Fatal(err)
		}
	}
	if got := fmt.Sprint(p.Stats().Line); got != "[{5 2} {0 2} {-1 1}]" {
		t.Errorf("in line: %s", got)
	}
	n.release()
	if err := p.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(order); err != nil || string(got) != "2 of 5\n4 of 5\n0 of 0\n3 of 0\n1 of -1\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestN07_OptionsThatAreWrong(t *testing.T) {
	p, r := open(t, flame.Config{})
	err := flame.Run(t.Context(), p, func(context.Context) error { return nil }, flame.Retry(-1))
	if err == nil || !strings.Contains(err.Error(), "Retry(-1): it must be 0 or more") || flame.Ran(err) || len(r.booted()) > 0 {
		t.Errorf("got %v", err)
	}
}

//go:build linux

package flame_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend/inproc"
)

type traceKey struct{}

// tracing takes the trace of a context along, under a name.
type tracing struct {
	name  string
	limit *int
}

func (tr tracing) Inject(ctx context.Context) map[string]string {
	trace, _ := ctx.Value(traceKey{}).(string)
	switch trace {
	case "panic":
		panic("no trace")
	case "large":
		return map[string]string{tr.name: strings.Repeat("x", *tr.limit)}
	}
	return map[string]string{tr.name: trace}
}

func (tr tracing) Extract(ctx context.Context, values map[string]string) context.Context {
	switch values[tr.name] {
	case "panic there":
		panic("no trace there")
	case "nil there":
		return nil
	}
	return context.WithValue(ctx, traceKey{}, values[tr.name]+" by "+tr.name)
}

func traced(ctx context.Context, trace string) context.Context {
	return context.WithValue(ctx, traceKey{}, trace)
}

func traceOf(ctx context.Context) string {
	trace, _ := ctx.Value(traceKey{}).(string)
	return trace
}

func newTracing() tracing {
	limit := 8 << 10
	return tracing{"mail", &limit}
}

func TestN12_WhatIsPropagatedReachesTheFunction(t *testing.T) {
	for name, c := range map[string]flame.Config{
		"Shared": {}, "PerCall": {Isolation: flame.PerCall}, "inproc": {Backend: inproc.New()},
	} {
		t.Run(name, func(t *testing.T) {
			c.Propagate = newTracing()
			p, _ := open(t, c)
			n := listen(t)
			addr := n.addr
			ctx := traced(t.Context(), "t1")
			got, err := flame.Call(ctx, p, func(own context.Context) (string, error) { return traceOf(own), nil })
			if err != nil || got != "t1 by mail" {
				t.Errorf("Call: %q, %v", got, err)
			}
			report := func(own context.Context) error { return tell(addr, traceOf(own)) }
			if err := flame.Run(traced(ctx, "t2"), p, report); err != nil || n.next(t) != "t2 by mail" {
				t.Errorf("Run: %v", err)
			}
			task := flame.Start(traced(ctx, "t3"), p, func(own context.Context) (string, error) { return traceOf(own), nil })
			if got, err := task.Wait(t.Context()); err != nil || got != "t3 by mail" {
				t.Errorf("Start: %q, %v", got, err)
			}
			if err := flame.Cast(traced(ctx, "t4"), p, report); err != nil || n.next(t) != "t4 by mail" {
				t.Errorf("Cast: %v", err)
			}
			if _, err := flame.Place(traced(ctx, "t5"), p, report); err != nil || n.next(t) != "t5 by mail" {
				t.Errorf("Place: %v", err)
			}
		})
	}
}

func TestN12_OnlyTheFunctionsOwnContextHasIt(t *testing.T) {
	p, _ := open(t, flame.Config{Propagate: newTracing()})
	ctx, cancel := context.WithCancel(traced(t.Context(), "mine"))
	defer cancel()
	got, err := flame.Call(ctx, p, func(own context.Context) (string, error) {
		return fmt.Sprintf("%q %q", traceOf(own), traceOf(ctx)), nil
	})
	if err != nil || got != `"mine by mail" ""` {
		t.Errorf("%s, %v", got, err)
	}
	none, _ := open(t, flame.Config{})
	if got, err := flame.Call(ctx, none, func(own context.Context) (string, error) { return traceOf(own), nil }); err != nil || got != "" {
		t.Errorf("without a Propagator: %q, %v", got, err)
	}
}

func TestN12_EveryRunOfARetriedCallHasIt(t *testing.T) {
	p, _ := open(t, flame.Config{Propagate: newTracing()})
	got, err := flame.Call(traced(t.Context(), "again"), p, func(own context.Context) (string, error) {
		if flame.Attempt(own) == 1 {
			syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
		}
		return traceOf(own), nil
	}, flame.Retry(1))
	if err != nil || got != "again by mail" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestN12_WhatCannotBePropagatedIsSaid(t *testing.T) {
	tr := newTracing()
	p, _ := open(t, flame.Config{Propagate: tr})
	run := func(trace string) error {
		return flame.Run(traced(t.Context(), trace), p, func(context.Context) error { return nil })
	}
	for trace, want := range map[string]string{
		"panic": "Config.Propagate: Inject of flame_test.tracing panicked: no trace", "large": "returned keys and values of 8196 bytes, and no more than 8192 may cross",
	} {
		var refused *flame.SendError
		if err := run(trace); !errors.As(err, &refused) || !strings.Contains(err.Error(), want) || flame.Ran(err) {
			t.Errorf("%s: %v", trace, err)
		}
	}
	*tr.limit -= len(tr.name)
	if err := run("large"); err != nil {
		t.Errorf("as large as may be: %v", err)
	}
	for trace, want := range map[string]string{"panic there": "no trace there", "nil there": "returned a nil context"} {
		var panicked *flame.PanicError
		if err := run(trace); !errors.As(err, &panicked) || !strings.Contains(panicked.Value, want) {
			t.Errorf("%s: %v", trace, err)
		}
	}
}

// bound cannot cross.
type bound struct {
	tracing
	mu *sync.Mutex
	to chan int
}

func TestN12_APropagatorThatCannotCrossIsRefused(t *testing.T) {
	boots := &recorder{Backend: inproc.New()}
	p, err := flame.Open(t.Context(), flame.Config{Backend: boots, Min: 1, Propagate: bound{to: make(chan int)}})
	if err == nil {
		p.Close()
		t.Fatal("it is taken")
	}
	var refused *flame.SendError
	if !errors.As(err, &refused) || !strings.HasPrefix(err.Error(), "flame: Config.Propagate: ") || !strings.Contains(err.Error(), "chan int") || len(boots.booted()) > 0 {
		t.Error(err)
	}
}

func TestN12_ARefusedFunctionIsNamedAsWithout(t *testing.T) {
	var said [2]string
	for i, c := range []flame.Config{{}, {Propagate: newTracing()}} {
		p, r := open(t, c)
		to := make(chan int)
		err := flame.Run(t.Context(), p, func(context.Context) error { to <- 1; return nil })
		if said[i] = fmt.Sprint(err); len(r.booted()) > 0 {
			t.Error("a runner was booted for it")
		}
	}
	if said[0] != said[1] || !strings.Contains(said[0], "captured") {
		t.Errorf("%s\n%s", said[0], said[1])
	}
}

//go:build linux

package flame_test

import (
	"context"
	"log/slog"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend/inproc"
)

// all returns what was logged until now.
func (l *logbook) all() []printedLine {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.entries)
}

func TestF14_RecordsOfACapturedLoggerAreMarkedWithTheCall(t *testing.T) {
	for name, c := range map[string]flame.Config{"Shared": {}, "PerCall": {Isolation: flame.PerCall}, "inproc": {Backend: inproc.New()}} {
		t.Run(name, func(t *testing.T) {
			p, _ := open(t, c)
			book := &logbook{}
			own := slog.New(book)
			const n = 5
			for i := range n {
				runner, err := flame.Call(t.Context(), p, func(context.Context) (string, error) {
					own.Info("mine", "i", i+1)
					info, _ := flame.Parent()
					return info.Runner, nil
				})
				all := book.all()
				if err != nil || len(all) != i+1 {
					t.Fatal(all, err)
				}
				e := all[i]
				if e.attrs["pool"].String() != "test" || name != "inproc" && e.attrs["runner"].String() != runner || e.attrs["runner"].String() == "" ||
					e.attrs["call"].Uint64() != uint64(i+1) || e.attrs["i"].Int64() != int64(i+1) {
					t.Errorf("%v on %s", e.attrs, runner)
				}
			}
		})
	}
}

func TestF14_RecordsOfARunThatIsRepeatedAreMarkedWithTheRunnerThatHasIt(t *testing.T) {
	p, _ := open(t, flame.Config{})
	book := &logbook{}
	own := slog.New(book)
	runner, err := flame.Call(t.Context(), p, func(ctx context.Context) (string, error) {
		if flame.Attempt(ctx) == 1 {
			os.Exit(1)
		}
		own.Info("mine")
		info, _ := flame.Parent()
		return info.Runner, nil
	}, flame.Retry(1))
	all := book.all()
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	if e := all[0]; e.attrs["runner"].String() != runner || e.attrs["call"].Uint64() != 1 {
		t.Errorf("%v on %s: %v", e.attrs, runner, err)
	}
}

func TestF14_RecordsOfAMapAreMarkedWithTheRunnerAndWhereItIsKnownWithTheCall(t *testing.T) {
	p, _ := open(t, flame.Config{Max: 2})
	book := &logbook{}
	own := slog.New(book)
	type input struct{ logger *slog.Logger }
	inputs := func(yield func(input) bool) {
		for range 4 {
			if !yield(input{own}) {
				return
			}
		}
	}
	for runner, err := range flame.Map(t.Context(), p, inputs, func(ctx context.Context, in input) (string, error) {
		info, _ := flame.Parent()
		own.Info("the function's", "on", info.Runner)
		own.InfoContext(ctx, "with its context", "on", info.Runner)
		in.logger.Info("the input's", "on", info.Runner)
		return info.Runner, nil
	}) {
		if err != nil {
			t.Fatal(runner, err)
		}
	}
	all, calls := book.all(), map[string]map[uint64]bool{}
	for _, e := range all {
		call, marked := e.attrs["call"]
		if calls[e.Message] == nil {
			calls[e.Message] = map[uint64]bool{}
		}
		if marked {
			calls[e.Message][call.Uint64()] = true
		}
		if marked != (e.Message != "the function's") || e.attrs["runner"].String() != e.attrs["on"].String() || e.attrs["pool"].String() != "test" {
			t.Errorf("%s: %v", e.Message, e.attrs)
		}
	}
	if own := calls["with its context"]; len(all) != 12 || len(own) != 4 || !maps.Equal(own, calls["the input's"]) {
		t.Errorf("%d records, of the calls %v", len(all), calls)
	}
}

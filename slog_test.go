//go:build linux

package flame_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend/inproc"
)

func TestF14_WhatAFunctionLogsReachesTheParentsLogger(t *testing.T) {
	for name, c := range map[string]flame.Config{"Shared": {}, "PerCall": {Isolation: flame.PerCall}} {
		t.Run(name, func(t *testing.T) {
			p, book, _ := printing(t, c)
			got, err := flame.Call(t.Context(), p, func(context.Context) (string, error) {
				slog.Debug("too low")
				slog.Warn("careful", "n", 1, slog.Group("g", "took", time.Second))
				slog.Default().WithGroup("in").With("a", 1).Error("\x1b[31mred")
				log.SetPrefix("mine: ")
				log.SetFlags(log.Lmsgprefix)
				log.Print("as ever")
				info, _ := flame.Parent()
				return fmt.Sprint(info.Runner, slog.Default().Enabled(context.Background(), slog.LevelDebug), log.Writer() == os.Stderr), nil
			})
			if err != nil {
				t.Fatal(err)
			}
			all := book.closed(t, p)
			slices.SortStableFunc(all, func(a, b printedLine) int { return strings.Compare(a.Message, b.Message) })
			if lines := messages(all); !slices.Equal(lines, []string{`\x1b[31mred`, "careful", "mine: as ever"}) {
				t.Fatalf("%q", lines)
			}
			for i, want := range []string{
				"ERROR in=[a=1] source=slog_test.go", "WARN g=[took=1s] n=1 source=slog_test.go", "INFO",
			} {
				e := all[i]
				text := e.Level.String()
				for _, key := range []string{"g", "in", "n"} {
					if v, ok := e.attrs[key]; ok {
						text += fmt.Sprint(" ", key, "=", v)
					}
				}
				if s := e.Source(); s != nil {
					text += " source=" + s.File[strings.LastIndexByte(s.File, '/')+1:]
				}
				if call, marked := e.attrs["call"]; text != want || e.attrs["pool"].String() != "test" || e.attrs["runner"].String()+"false true" != got ||
					marked != (c.Isolation == flame.PerCall) || marked && call.Uint64() != 1 {
					t.Errorf("%s: %v", text, e.attrs)
				}
			}
		})
	}
}

func TestF14_ARecordWithTheCallsContextIsMarkedWithTheCall(t *testing.T) {
	for name, c := range map[string]flame.Config{
		"Shared": {}, "one slot": {MaxConcurrency: 1}, "PerCall": {Isolation: flame.PerCall, MaxConcurrency: 3},
	} {
		t.Run(name, func(t *testing.T) {
			p, book, _ := printing(t, c)
			const n = 20
			var tasks []*flame.Task[int]
			for i := range n {
				tasks = append(tasks, flame.Start(t.Context(), p, func(ctx context.Context) (int, error) {
					derived, cancel := context.WithCancel(context.WithValue(ctx, traceKey{}, "x"))
					defer cancel()
					slog.InfoContext(ctx, "mine", "i", i+1)
					slog.InfoContext(derived, "mine", "i", i+1)
					slog.InfoContext(context.WithoutCancel(derived), "mine", "i", i+1)
					slog.InfoContext(context.Background(), "whose", "i", i+1)
					return i, nil
				}))
			}
			for _, task := range tasks {
				if _, err := task.Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			all := book.closed(t, p)
			if len(all) != 4*n {
				t.Errorf("%d records", len(all))
			}
			for _, e := range all {
				call, marked := e.attrs["call"]
				if wanted := e.Message == "mine" || name != "Shared"; marked != wanted || marked && int64(call.Uint64()) != e.attrs["i"].Int64() {
					t.Errorf("%s: %v", e.Message, e.attrs)
				}
			}
		})
	}
}

func TestF14_WhatIsLoggedBeforeTheEndArrives(t *testing.T) {
	for name, c := range map[string]flame.Config{"Shared": {}, "PerCall": {Isolation: flame.PerCall}} {
		t.Run(name, func(t *testing.T) {
			p, book, _ := printing(t, c)
			const n = 10
			for i := range n {
				err := flame.Run(t.Context(), p, func(ctx context.Context) error {
					if i%2 == 0 {
						slog.ErrorContext(ctx, "the end")
						os.Exit(1)
					}
					log.Fatal("the end")
					return nil
				})
				var lost *flame.RunnerLostError
				if !errors.As(err, &lost) || lost.ExitCode != 1 {
					t.Fatal(err)
				}
			}
			var seen int
			for _, line := range messages(book.closed(t, p)) {
				if strings.HasSuffix(line, "the end") {
					seen++
				}
			}
			if seen != n {
				t.Errorf("%d of %d arrived", seen, n)
			}
		})
	}
}

func TestF14_AFloodOfRecordsIsCounted(t *testing.T) {
	const n = 20_000
	slow := time.NewTicker(time.Millisecond)
	defer slow.Stop()
	book := &logbook{before: func(slog.Record) { <-slow.C }}
	p, _ := printingTo(t, book, flame.Config{})
	err := flame.Run(t.Context(), p, func(ctx context.Context) error {
		for i := range n {
			slog.InfoContext(ctx, "again", "i", i)
		}
		settled(ctx)
		slog.InfoContext(ctx, "last")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	all := book.closed(t, p)
	if got := int64(len(all)) + book.dropped; got != n+1 || book.dropped == 0 {
		t.Errorf("%d were logged and %d dropped", len(all), book.dropped)
	}
}

// settled waits until there is room for more.
func settled(ctx context.Context) {
	wait, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	<-wait.Done()
}

func TestF14_InsideTheParentItsOwnDefaultIsUsed(t *testing.T) {
	before := slog.Default()
	book := &logbook{}
	p, _ := open(t, flame.Config{Backend: inproc.New(), Logger: slog.New(book)})
	err := flame.Run(t.Context(), p, func(context.Context) error { return nil })
	if err != nil || slog.Default() != before {
		t.Errorf("%v", err)
	}
}

//go:build linux

package flame_test

import (
	"context"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
)

// leaver ends the goroutine of whoever uses it, as t.FailNow does.
type leaver struct{ _ int } // what has no size crosses as a copy

func (leaver) Read([]byte) (int, error)           { runtime.Goexit(); return 0, nil }
func (leaver) Write([]byte) (int, error)          { runtime.Goexit(); return 0, nil }
func (leaver) ReadAt([]byte, int64) (int, error)  { runtime.Goexit(); return 0, nil }
func (leaver) WriteAt([]byte, int64) (int, error) { runtime.Goexit(); return 0, nil }
func (leaver) Close() error                       { runtime.Goexit(); return nil }

// device is held by its interfaces alone.
type device struct {
	rw io.ReadWriteCloser
	a  io.ReaderAt
	w  io.WriterAt
}

// held keeps the compiler from calling l itself.
//
//go:noinline
func held(l leaver) device { return device{l, l, l} }

func TestF12_AMethodThatEndsItsGoroutineEndsTheCallAtOnce(t *testing.T) {
	p, _ := open(t, flame.Config{})
	tidy(t, p)
	lent := held(leaver{})
	for name, use := range map[string]func() error{
		"Read":    func() error { _, err := lent.rw.Read(make([]byte, 1)); return err },
		"Write":   func() error { _, err := lent.rw.Write(make([]byte, 1)); return err },
		"ReadAt":  func() error { _, err := lent.a.ReadAt(make([]byte, 1), 0); return err },
		"WriteAt": func() error { _, err := lent.w.WriteAt(make([]byte, 1), 0); return err },
		"Close":   func() error { return lent.rw.Close() },
	} {
		start := time.Now()
		err := flame.Run(t.Context(), p, func(context.Context) error { return use() }, flame.Timeout(patience))
		if err == nil || !strings.Contains(err.Error(), "flame_test.leaver ended its goroutine") || time.Since(start) > patience/2 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// leaving is a handler that ends the goroutine of whoever logs.
type leaving struct{ *logbook }

func (l leaving) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == "leave" {
		runtime.Goexit()
	}
	return l.logbook.Handle(ctx, r)
}

func TestN17_ALoggerThatEndsItsGoroutineHoldsNobodyUp(t *testing.T) {
	p, _ := open(t, flame.Config{})
	tidy(t, p)
	book := &logbook{}
	own := slog.New(leaving{book})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := flame.Run(ctx, p, func(context.Context) error {
		for _, what := range []string{"one", "leave", "leave", "two"} {
			own.Info(what)
		}
		return nil
	}); err != nil || ctx.Err() != nil {
		t.Error(err, ctx.Err())
	}
	if got := messages(book.all()); len(got) != 2 || got[1] != "two" {
		t.Errorf("%q", got)
	}
}

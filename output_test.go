//go:build linux

package flame_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend/process"
)

// logbook is a handler that keeps what runners print and log, which is marked with a runner but no instance.
type logbook struct {
	before func(slog.Record) // if not nil, is called with each record
	level  slog.Level

	mu      sync.Mutex
	entries []printedLine
	dropped int64 // as told in warnings
}

// printedLine is one record.
type printedLine struct {
	slog.Record
	attrs map[string]slog.Value
}

func (l *logbook) Enabled(_ context.Context, at slog.Level) bool { return at >= l.level }
func (l *logbook) WithAttrs([]slog.Attr) slog.Handler            { panic("not used") }
func (l *logbook) WithGroup(string) slog.Handler                 { panic("not used") }

func (l *logbook) Handle(_ context.Context, r slog.Record) error {
	if l.before != nil {
		l.before(r)
	}
	p := printedLine{r, map[string]slog.Value{}}
	r.Attrs(func(a slog.Attr) bool { p.attrs[a.Key] = a.Value; return true })
	l.mu.Lock()
	defer l.mu.Unlock()
	if strings.HasPrefix(r.Message, "flame: ") {
		if v, ok := p.attrs["lines"]; ok {
			l.dropped += v.Int64()
		}
		return nil
	}
	l.entries = append(l.entries, p)
	return nil
}

// printing opens a pool whose runners' output goes to a logbook.
func printing(t *testing.T, c flame.Config) (*flame.Pool, *logbook, *recorder) {
	t.Helper()
	book := &logbook{level: slog.LevelInfo}
	p, r := printingTo(t, book, c)
	return p, book, r
}

func printingTo(t *testing.T, book *logbook, c flame.Config) (*flame.Pool, *recorder) {
	t.Helper()
	c.Backend, c.Logger = process.New(process.Options{}), slog.New(book)
	if c.Timeout == 0 {
		c.Timeout = patience
	}
	return open(t, c)
}

// closed closes the pool and returns what was logged.
func (l *logbook) closed(t *testing.T, p *flame.Pool) []printedLine {
	t.Helper()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.entries)
}

func messages(all []printedLine) (lines []string) {
	for _, e := range all {
		lines = append(lines, e.Message)
	}
	return lines
}

func TestF14_WhatAFunctionPrintsReachesTheParentsLogger(t *testing.T) {
	p, book, _ := printing(t, flame.Config{})
	before := time.Now()
	got, err := flame.Call(t.Context(), p, func(context.Context) (string, error) {
		fmt.Println("to stdout\twith a tab")
		fmt.Fprint(os.Stderr, "in ", "parts", "\r\n\n")
		println("by println")
		log.Print("by log")
		sh := exec.Command("sh", "-c", "echo by a child; echo and its stderr >&2")
		sh.Stdout, sh.Stderr = os.Stdout, os.Stderr
		err := sh.Run()
		fmt.Print("\x1b[31mred\x9b \xc2\x9b \xff\x00, and unfinished")
		info, _ := flame.Parent()
		return info.Runner, err
	})
	if err != nil {
		t.Fatal(err)
	}
	all := book.closed(t, p)
	want := []string{
		"to stdout\twith a tab", "in parts", "by println", "DATE by log", "by a child", "and its stderr",
		`\x1b[31mred\x9b \u009b \xff\x00, and unfinished`,
	}
	lines := messages(all)
	if len(lines) == len(want) {
		want[3] = strings.Replace(want[3], "DATE", lines[3][:min(19, len(lines[3]))], 1)
	}
	if !slices.Equal(lines, want) {
		t.Fatalf("%q", lines)
	}
	for _, e := range all {
		_, marked := e.attrs["call"]
		if e.Level != slog.LevelInfo || e.attrs["pool"].String() != "test" || e.attrs["runner"].String() != got || marked || e.Time.Before(before) {
			t.Errorf("%v %v: %v", e.Time, e.Level, e.attrs)
		}
	}
}

func TestF14_LinesOfManyKinds(t *testing.T) {
	p, book, _ := printing(t, flame.Config{})
	long := strings.Repeat("x", 16<<10)
	err := flame.Run(t.Context(), p, func(context.Context) error {
		fmt.Println(long)
		fmt.Println(long + "yz")
		for range 100 {
			fmt.Print(long)
		}
		fmt.Println("\nlast")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	got := messages(book.closed(t, p))
	want := []string{long, long + " … (cut: 2 bytes more)", long + fmt.Sprintf(" … (cut: %d bytes more)", 99*len(long)), "last"}
	if !slices.Equal(got, want) {
		for i, line := range got {
			t.Errorf("%d: %d bytes, the last of which are %q", i, len(line), line[max(0, len(line)-50):])
		}
	}
}

// TestF14_AFloodStopsNobody: a logger that takes a millisecond for a line gets some of 100,000; the others are counted.
func TestF14_AFloodStopsNobody(t *testing.T) {
	for _, isolation := range []flame.Isolation{flame.Shared, flame.PerCall} {
		t.Run(fmt.Sprint(isolation), func(t *testing.T) {
			const n = 100_000
			slow := time.NewTicker(time.Millisecond)
			defer slow.Stop()
			book := &logbook{before: func(slog.Record) { <-slow.C }}
			p, _ := printingTo(t, book, flame.Config{Isolation: isolation, MaxConcurrency: 2})
			start := time.Now()
			err := flame.Run(t.Context(), p, func(context.Context) error {
				for i := range n {
					fmt.Println("line", i)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("the call took %v", took)
			}
			if err := flame.Run(t.Context(), p, func(context.Context) error { fmt.Println("one more"); return nil }); err != nil {
				t.Error(err)
			}
			closing := time.Now()
			all := book.closed(t, p)
			if took := time.Since(closing); took > 10*time.Second {
				t.Errorf("to close took %v", took)
			}
			if got := int64(len(all)) + book.dropped; got != n+1 || book.dropped == 0 || len(all) < 100 {
				t.Errorf("%d lines were logged and %d dropped, %d in all", len(all), book.dropped, got)
			}
			t.Logf("%d logged, %d dropped", len(all), book.dropped)
		})
	}
}

func TestF14_ALoggerThatHangsOrPanicsHoldsNobodyUp(t *testing.T) {
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	book := &logbook{before: func(r slog.Record) {
		switch r.Message {
		case "hang":
			<-hang
		case "panic":
			panic("at the disco")
		}
	}}
	p, _ := printingTo(t, book, flame.Config{})
	err := flame.Run(t.Context(), p, func(context.Context) error {
		fmt.Println("panic\ngo on\nhang\nnever")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	all := messages(book.closed(t, p))
	if took := time.Since(start); !slices.Equal(all, []string{"go on"}) || took > 10*time.Second {
		t.Errorf("after %v: %q", took, all)
	}
}

func TestF14_LinesOfARunnerWithOneCallAreMarkedWithIt(t *testing.T) {
	for name, c := range map[string]flame.Config{
		"one slot": {MaxConcurrency: 1, Max: 2}, "SingleUse": {SingleUse: true, Max: 2}, "PerCall": {Isolation: flame.PerCall, MaxConcurrency: 4},
		"PerCall, one slot": {Isolation: flame.PerCall, MaxConcurrency: 1, Max: 2},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			started := map[uint64]string{}
			c.OnEvent = func(e flame.Event) {
				mu.Lock()
				defer mu.Unlock()
				if e.Kind == flame.CallStarted {
					started[e.Call] = e.Function
				}
			}
			p, book, _ := printing(t, c)
			const n = 30
			var tasks []*flame.Task[int]
			for i := range n {
				tasks = append(tasks, flame.Start(t.Context(), p, func(context.Context) (int, error) {
					fmt.Printf("%d\n", i)
					fmt.Printf("%d", i) // no end of line
					return i, nil
				}))
			}
			for _, task := range tasks {
				if _, err := task.Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			all := book.closed(t, p)
			calls := map[string][]uint64{}
			for _, e := range all {
				call := e.attrs["call"]
				if call.Kind() != slog.KindUint64 || e.attrs["function"].String() != started[call.Uint64()] || started[call.Uint64()] == "" {
					t.Fatalf("%q is marked %v", e.Message, e.attrs)
				}
				calls[e.Message] = append(calls[e.Message], call.Uint64())
			}
			seen := map[uint64]bool{}
			for i := range n {
				of := calls[fmt.Sprint(i)]
				if len(of) != 2 || of[0] != of[1] || of[0] != uint64(i+1) || seen[of[0]] {
					t.Errorf("call %d: its lines are marked %v", i+1, of)
				}
			}
		})
	}
}

func TestF14_TheLastWordsOfARunnerAreLogged(t *testing.T) {
	for name, c := range map[string]flame.Config{"Shared": {MaxConcurrency: 1}, "PerCall": {Isolation: flame.PerCall}} {
		t.Run(name, func(t *testing.T) {
			p, book, _ := printing(t, c)
			err := flame.Run(t.Context(), p, func(context.Context) error {
				fmt.Println("before")
				var wg sync.WaitGroup
				wg.Go(func() { panic("out of nowhere") })
				wg.Wait()
				return nil
			})
			var lost *flame.RunnerLostError
			if !errors.As(err, &lost) || !strings.Contains(string(lost.Output), "out of nowhere") {
				t.Fatal(err)
			}
			var text []string
			for _, e := range book.closed(t, p) {
				if e.attrs["call"].Kind() == slog.KindUint64 && e.attrs["call"].Uint64() == 1 {
					text = append(text, e.Message)
				}
			}
			if len(text) < 3 || text[0] != "before" || !strings.HasPrefix(text[1], "panic: out of nowhere") {
				t.Errorf("%q", text)
			}
		})
	}
}

func TestF14_ABackendWithAnOutputOfItsOwnGetsItAsItIs(t *testing.T) {
	for name, c := range map[string]flame.Config{"Shared": {}, "PerCall": {Isolation: flame.PerCall}} {
		t.Run(name, func(t *testing.T) {
			var raw shared
			book := &logbook{}
			c.Backend, c.Logger = process.New(process.Options{Output: &raw}), slog.New(book)
			p, _ := open(t, c)
			err := flame.Run(t.Context(), p, func(context.Context) error {
				fmt.Print("\x1b[1mas it is\r\n\n")
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			lines := messages(book.closed(t, p))
			if got := raw.String(); got != "\x1b[1mas it is\r\n\n" || len(lines) > 0 {
				t.Errorf("%q, and logged: %q", got, lines)
			}
		})
	}
}

// shared is a buffer that several goroutines may write to.
type shared struct {
	mu sync.Mutex
	strings.Builder
}

func (s *shared) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Builder.Write(b)
}

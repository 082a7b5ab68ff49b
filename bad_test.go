//go:build linux

package flame_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/backend/process"
)

func TestNilFunctionIsAnError(t *testing.T) {
	p, r := open(t, flame.Config{})
	var send *flame.SendError
	if _, err := flame.Call[int](t.Context(), p, nil); !errors.As(err, &send) || flame.Ran(err) {
		t.Errorf("Call: %v", err)
	}
	if err := flame.Run(t.Context(), p, nil); !errors.As(err, &send) {
		t.Errorf("Run: %v", err)
	}
	if err := flame.Cast(t.Context(), p, nil); !errors.As(err, &send) {
		t.Errorf("Cast: %v", err)
	}
	if _, err := flame.Start[int](t.Context(), p, nil).Wait(t.Context()); !errors.As(err, &send) {
		t.Errorf("Start: %v", err)
	}
	if len(r.booted()) > 0 {
		t.Error("a runner was booted for a nil function")
	}
}

func TestNilPoolIsAnError(t *testing.T) {
	err := flame.Run(t.Context(), nil, func(context.Context) error { return nil })
	if !errors.Is(err, flame.ErrPoolClosed) || !strings.Contains(err.Error(), "flame.Open") || flame.Ran(err) {
		t.Error(err)
	}
}

func TestClosedPoolIsAnError(t *testing.T) {
	p, _ := open(t, flame.Config{})
	pid(t, p)
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	fn := func(context.Context) error { return nil }
	if err := flame.Run(t.Context(), p, fn); !errors.Is(err, flame.ErrPoolClosed) || flame.Ran(err) {
		t.Errorf("Run: %v", err)
	}
	if err := flame.Cast(t.Context(), p, fn); !errors.Is(err, flame.ErrPoolClosed) {
		t.Errorf("Cast: %v", err)
	}
	if err := p.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown after Close: %v", err)
	}
}

func TestB13_BadConfigIsReportedByField(t *testing.T) {
	bad := map[string]func(*flame.Config){
		"Min is -1: it must be 0 or more":                   func(c *flame.Config) { c.Min = -1 },
		"Max is -2: it must be 0 (the default)":             func(c *flame.Config) { c.Max = -2 },
		"MaxConcurrency is -1: it must be 0":                func(c *flame.Config) { c.MaxConcurrency = -1 },
		"Isolation is 2: it is flame.Shared or":             func(c *flame.Config) { c.Isolation = 2 },
		"BootTimeout is -1s: it must be 0":                  func(c *flame.Config) { c.BootTimeout = -time.Second },
		"ShutdownTimeout is -1s: it must be 0":              func(c *flame.Config) { c.ShutdownTimeout = -time.Second },
		"KillGrace is -1s: it must be 0":                    func(c *flame.Config) { c.KillGrace = -time.Second },
		"MinIdleShutdownAfter is -1s: it must be 0 (never)": func(c *flame.Config) { c.MinIdleShutdownAfter = -time.Second },
		"MaxRunnerAge is -1s: it must be 0 (never)":         func(c *flame.Config) { c.MaxRunnerAge = -time.Second },
		"Headroom is -1: it must be 0 or more":              func(c *flame.Config) { c.Headroom = -1 },
		"MaxQueue is -1: it must be 0 (the default)":        func(c *flame.Config) { c.MaxQueue = -1 },
		"MaxQueueBytes is -1: it must be 0 (the default)":   func(c *flame.Config) { c.MaxQueueBytes = -1 },
		"MessageLimit is -1: it must be 0 (the default)":    func(c *flame.Config) { c.MessageLimit = -1 },
	}
	var all flame.Config
	for want, spoil := range bad {
		var one flame.Config
		spoil(&one)
		spoil(&all)
		if _, err := flame.Open(t.Context(), one); err == nil || !strings.HasPrefix(err.Error(), "flame: Config."+want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	_, err := flame.Open(t.Context(), all)
	for want := range bad {
		if err == nil || !strings.Contains(err.Error(), "flame: Config."+want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}

func TestB13_FieldsThatContradictEachOther(t *testing.T) {
	for want, c := range map[string]flame.Config{
		"Max is 2, less than Min, 3: raise Max or lower Min": {Min: 3, Max: 2},
		"MaxConcurrency is 4 with SingleUse":                 {SingleUse: true, MaxConcurrency: 4},
		"Headroom is 9, more than":                           {Max: 4, MaxConcurrency: 2, Headroom: 9},
	} {
		if _, err := flame.Open(t.Context(), c); err == nil || !strings.HasPrefix(err.Error(), "flame: Config."+want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if p, err := flame.Open(t.Context(), flame.Config{Max: 4, MaxConcurrency: 2, Headroom: 8}); err != nil {
		t.Error(err)
	} else {
		p.Close()
	}
}

func TestProgramsThatNeverServe(t *testing.T) {
	for name, want := range map[string][]string{
		"no ServeIfRunner": {"Open before ServeIfRunner", "in TestMain"},
		"exits before":     {"exit code 3"},
		"panics before":    {"exit code 2", "panic: cannot read the configuration"},
		"port in use":      {"address already in use"},
		"PerProcess late":  {`PerProcess("late") is missing on the runner`, "before ServeIfRunner"},
		"PerProcess type":  {`PerProcess("it") is a *int on the parent and a *string on the runner`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := program(t, name)
			for _, w := range want {
				if !strings.Contains(out, w) {
					t.Errorf("it says\n%s\nand not %q", out, w)
				}
			}
		})
	}
}

// portProgram listens before ServeIfRunner, so that its runners find the port in use.
func portProgram() {
	addr := os.Getenv("ADDR")
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		slog.Error("cannot listen", "error", err)
		os.Exit(1)
	}
	os.Setenv("ADDR", l.Addr().String())
	flame.ServeIfRunner()
	openAndReport()
}

func lateProgram() {
	flame.ServeIfRunner()
	flame.PerProcess("late", new(int))
	openAndReport()
}

func typeProgram() {
	if _, ok := flame.Parent(); ok {
		flame.PerProcess("it", new(string))
	} else {
		flame.PerProcess("it", new(int))
	}
	flame.ServeIfRunner()
	openAndReport()
}

func TestF17_OtherProgramsAreRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		script string
		want   string
	}{
		"garbage":       {"echo this is no frame at all, is it >&3; sleep 10", "not a flame program"},
		"exits":         {"echo the last words >&2; exit 4", "exit code 4"},
		"kills itself":  {"kill -9 $$", "killed"},
		"another build": {hello(`{"flame":1,"runner":"x","build":"another/build","pid":1}`) + "; sleep 10", `build "another/build"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &recorder{Backend: process.New(process.Options{Output: io.Discard}), change: func(s *backend.Spec) {
				s.Path, s.Args = "/bin/sh", []string{"sh", "-c", tc.script}
			}}
			_, err := flame.Open(t.Context(), flame.Config{Min: 1, Backend: r, BootTimeout: 5 * time.Second})
			var boot *flame.BootError
			if !errors.As(err, &boot) || !strings.Contains(err.Error(), tc.want) || flame.Ran(err) {
				t.Errorf("%v, want %q", err, tc.want)
			}
			if name == "exits" && !strings.Contains(string(boot.Output), "the last words") {
				t.Errorf("its output is %q", boot.Output)
			}
			for _, i := range r.booted() {
				<-i.Done()
			}
		})
	}
}

// hello is a shell command that introduces a runner as text says.
func hello(text string) string {
	return fmt.Sprintf(`printf '\0\0\0\0\0\0\0\0\%03o\0\1\0%s' >&3`, len(text), text)
}

func TestBootFailureReachesACallAndTheNextOneTriesAgain(t *testing.T) {
	broken := true
	r := &recorder{Backend: process.New(process.Options{Output: io.Discard})}
	r.change = func(s *backend.Spec) {
		if broken {
			s.Path, s.Args = "/bin/sh", []string{"sh", "-c", "echo out of luck; exit 9"}
		}
	}
	p, _ := open(t, flame.Config{Backend: r})
	err := flame.Run(t.Context(), p, func(context.Context) error { return nil })
	var boot *flame.BootError
	if !errors.As(err, &boot) || boot.Attempts < 1 || !strings.Contains(err.Error(), "out of luck") || !strings.Contains(err.Error(), "exit code 9") {
		t.Fatalf("%v", err)
	}
	broken = false
	pid(t, p)
}

func TestRunnerThatHangsIsStoppedAtTheBootTimeout(t *testing.T) {
	r := &recorder{Backend: process.New(process.Options{Output: io.Discard}), change: func(s *backend.Spec) {
		s.Path, s.Args = "/bin/sh", []string{"sh", "-c", "sleep 1000"}
	}}
	_, err := flame.Open(t.Context(), flame.Config{Min: 1, Backend: r, BootTimeout: 100 * time.Millisecond})
	var boot *flame.BootError
	if !errors.As(err, &boot) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	for _, i := range r.booted() {
		<-i.Done()
	}
}

func TestB12_NoSecretIsInAnErrorALogOrAnEvent(t *testing.T) {
	const secret = "hunter2-6f1d"
	t.Setenv("DATABASE_PASSWORD", secret)
	var log bytes.Buffer
	var d diary
	p, r := open(t, flame.Config{Logger: slog.New(slog.NewTextHandler(&log, nil)), OnEvent: d.tell})
	n := listen(t)
	addr := n.addr
	said := []error{
		flame.Run(t.Context(), p, func(context.Context) error { panic("no way") }),
		flame.Run(t.Context(), p, func(ctx context.Context) error { <-ctx.Done(); return nil }, flame.Timeout(10*time.Millisecond)),
	}
	lost := flame.Start(t.Context(), p, func(context.Context) (int, error) {
		if os.Getenv("DATABASE_PASSWORD") != secret {
			return 0, errors.New("the runner has not the parent's environment")
		}
		return 0, hold(addr)
	})
	n.next(t)
	pid := r.booted()[0].ID()
	line, err := os.ReadFile("/proc/" + pid + "/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	kill(t, r.booted()[0])
	_, err = lost.Wait(t.Context())
	said = append(said, err, errors.New(string(line)))
	r.change = func(s *backend.Spec) { s.Path = "/nonexistent" }
	said = append(said, flame.Run(t.Context(), p, func(context.Context) error { return nil }))
	p.Close()
	for _, e := range d.events {
		said = append(said, fmt.Errorf("%+v", e))
	}
	said = append(said, errors.New(log.String()), fmt.Errorf("%+v", p.Stats()))
	for _, err := range said {
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("it says %v", err)
		}
	}
}

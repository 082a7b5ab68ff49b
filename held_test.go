//go:build linux

package flame_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend/inproc"
)

// paperFile makes a file of so many bytes and returns its name and its content.
func paperFile(t *testing.T, size int) (string, []byte) {
	t.Helper()
	name, data := filepath.Join(t.TempDir(), "file"), bytes.Repeat([]byte("0123456789abcdef"), size/16)
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name, data
}

// opened has a runner open a file.
func opened(ctx context.Context, p *flame.Pool, name string, opts ...flame.Option) (io.ReadCloser, error) {
	return flame.Call(ctx, p, func(context.Context) (io.ReadCloser, error) { return os.Open(name) }, opts...)
}

// free waits until no slot is held.
func free(t *testing.T, p *flame.Pool) {
	t.Helper()
	start := time.Now()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for s := p.Stats(); s.Running > 0 || s.Held > 0; s = p.Stats() {
		if <-tick.C; time.Since(start) > patience {
			t.Fatalf("slots are held: %+v", s)
		}
	}
}

func TestF13_AFileThatARunnerHasOpenedIsReadHere(t *testing.T) {
	for name, c := range map[string]flame.Config{
		"Shared": {}, "PerCall": {Isolation: flame.PerCall}, "SingleUse": {SingleUse: true}, "inproc": {Backend: inproc.New()},
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := open(t, c)
			for _, size := range []int{0, 16, 3 << 20} {
				file, want := paperFile(t, size)
				r, err := opened(t.Context(), p, file)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(r)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%d bytes of %d, %v", len(got), size, err)
				}
				if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
					t.Errorf("at the end: %d, %v", n, err)
				}
				if s := p.Stats(); s.Running != 1 || s.Held != 1 {
					t.Errorf("before it is closed: %+v", s)
				}
				if err := r.Close(); err != nil {
					t.Error(err)
				}
				free(t, p)
				if _, err := r.Read(make([]byte, 1)); !errors.Is(err, os.ErrClosed) {
					t.Errorf("when it is closed: %v", err)
				}
				if err := r.Close(); !errors.Is(err, os.ErrClosed) {
					t.Errorf("closed twice: %v", err)
				}
			}
		})
	}
}

func TestF13_WhatIsNotClosedKeepsItsRunner(t *testing.T) {
	for name, isolation := range map[string]flame.Isolation{"Shared": flame.Shared, "PerCall": flame.PerCall} {
		t.Run(name, func(t *testing.T) {
			n := listen(t)
			events := make(chan flame.Event, 100)
			p, runners := open(t, flame.Config{
				Max: 1, MaxConcurrency: 2, IdleShutdownAfter: 50 * time.Millisecond, Timeout: 2 * time.Second, Isolation: isolation,
				OnEvent: func(e flame.Event) { events <- e },
			})
			file, want := paperFile(t, 1<<20)
			r, err := opened(t.Context(), p, file, flame.Retry(2))
			if err != nil {
				t.Fatal(err)
			}
			addr := n.addr
			if err := flame.Run(t.Context(), p, func(ctx context.Context) error { // for as long as the timeout of the first was
				<-ctx.Done()
				return tell(addr, "late")
			}, flame.Timeout(2*time.Second)); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			n.next(t)
			s := p.Stats()
			if len(runners.booted()) != 1 || s.Held != 1 || len(s.Runners) != 1 || s.Runners[0].Held != 1 || s.Runners[0].Stage != "ready" {
				t.Errorf("%+v", s)
			}
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			var kinds []string
			for e := range events {
				kinds = append(kinds, e.Kind.String())
				if e.Kind == flame.RunnerGone {
					break
				}
			}
			told := strings.Join(kinds, ", ")
			if !strings.Contains(told, "call started, call held, call queued") || !strings.HasSuffix(told, "call ended, runner draining, runner gone") {
				t.Errorf("it was told: %s", told)
			}
		})
	}
}

func TestF13_AReaderBehindAReaderOfTheParent(t *testing.T) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	want := bytes.Repeat([]byte("a line of text\n"), 100_000)
	w.Write(want)
	w.Close()
	p, _ := open(t, flame.Config{})
	in := struct{ io.Reader }{&packed}
	r, err := flame.Call(t.Context(), p, func(context.Context) (io.ReadCloser, error) { return gzip.NewReader(in) })
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	free(t, p)
}

func TestF13_TheCapturedReaderItselfComesBack(t *testing.T) {
	p, _ := open(t, flame.Config{})
	name, want := paperFile(t, 1<<20)
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	in := struct{ io.ReadSeekCloser }{file}
	r, err := flame.Call(t.Context(), p, func(context.Context) (io.ReadSeekCloser, error) { return in, nil })
	if err != nil {
		t.Fatal(err)
	}
	if at, err := r.Seek(-16, io.SeekEnd); err != nil || at != int64(len(want)-16) {
		t.Errorf("at %d, %v", at, err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != "0123456789abcdef" {
		t.Errorf("%q, %v", got, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := file.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the original was not closed: %v", err)
	}
}

// piped is the output of a command, which is waited for when it is closed.
type piped struct {
	io.Reader
	cmd *exec.Cmd
}

func (p *piped) Close() error { return p.cmd.Wait() }

func command(ctx context.Context, args ...string) (io.ReadCloser, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &piped{out, cmd}, cmd.Start()
}

func TestF13_ACommandOnARunnerIsReadHere(t *testing.T) {
	for name, isolation := range map[string]flame.Isolation{"Shared": flame.Shared, "PerCall": flame.PerCall} {
		t.Run(name, func(t *testing.T) {
			p, _ := open(t, flame.Config{Isolation: isolation, Timeout: 10 * time.Second})
			r, err := flame.Call(t.Context(), p, func(ctx context.Context) (io.ReadCloser, error) {
				return command(ctx, "sh", "-c", "seq 100000; exit 3")
			})
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if err != nil || bytes.Count(got, []byte("\n")) != 100_000 {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			if err := r.Close(); err == nil || err.Error() != "exit status 3" {
				t.Errorf("closed: %v", err)
			}
			free(t, p)
		})
	}
}

func TestF13_TwoReadersInOneResult(t *testing.T) {
	type pair struct {
		a, b, same io.ReadCloser
		none       io.ReadCloser
	}
	p, _ := open(t, flame.Config{})
	name, want := paperFile(t, 1<<20)
	task := flame.Start(t.Context(), p, func(context.Context) (map[string]pair, error) {
		a, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		b, err := os.Open(name)
		return map[string]pair{"files": {a: a, b: b, same: a}}, err
	})
	all, err := task.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := all["files"]
	if got.a != got.same || got.a == got.b || got.none != nil {
		t.Errorf("%+v", got)
	}
	if text, err := io.ReadAll(io.MultiReader(got.a, got.b)); err != nil || len(text) != 2*len(want) {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	if err := got.a.Close(); err != nil || p.Stats().Held != 1 {
		t.Errorf("%v, %+v", err, p.Stats())
	}
	if _, err := got.a.Read(make([]byte, 1)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the one that is closed: %v", err)
	}
	if err := got.b.Close(); err != nil {
		t.Error(err)
	}
	free(t, p)
	if again, err := task.Wait(t.Context()); err != nil || again["files"].a != got.a {
		t.Errorf("waited again: %v", err)
	}
}

func TestF13_WithoutAReaderNothingIsHeld(t *testing.T) {
	p, _ := open(t, flame.Config{})
	r, err := flame.Call(t.Context(), p, func(context.Context) (io.ReadCloser, error) { return nil, nil })
	if r != nil || err != nil || p.Stats().Running != 0 {
		t.Errorf("%v, %v, %+v", r, err, p.Stats())
	}
	name, _ := paperFile(t, 16)
	_, err = flame.Call(t.Context(), p, func(context.Context) (io.ReadCloser, error) {
		r, _ := os.Open(name)
		return r, fmt.Errorf("changed my mind")
	})
	if err == nil || err.Error() != "changed my mind" || p.Stats().Running != 0 {
		t.Errorf("%v, %+v", err, p.Stats())
	}
	var send *flame.SendError
	if _, err := flame.Call(t.Context(), p, func(context.Context) (io.Reader, error) { return nil, nil }); !errors.As(err, &send) || !strings.Contains(err.Error(), "io.ReadCloser") {
		t.Error(err)
	}
}

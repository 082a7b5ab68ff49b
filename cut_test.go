//go:build linux

package flame_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend"
)

// cutOff is the configuration of pools whose runners are lost with their connection.
var cutOff = flame.Config{Max: 1, ResumeWindow: -1}

// exchanged is how many bytes go one way in what is cut.
const exchanged = 400_000

// pattern is n bytes of which no two that are near are alike.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return b
}

// jot adds a line to a file, for functions on runners.
func jot(file, line string) {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	fmt.Fprintln(f, line)
}

// exchanges are calls that end in one way only if all their bytes have come; each returns how its caller has seen it end.
// Functions write down in a file that they run, and what they have read.
var exchanges = map[string]func(ctx context.Context, p *flame.Pool, file string) error{
	"a result": func(ctx context.Context, p *flame.Pool, file string) error {
		input := pattern(exchanged)
		got, err := flame.Call(ctx, p, func(context.Context) ([]byte, error) {
			jot(file, "ran")
			return append(input, 'x'), nil
		})
		if err == nil && !bytes.Equal(got, append(pattern(exchanged), 'x')) {
			return fmt.Errorf("a result of %d bytes is another one", len(got))
		}
		return err
	},
	"a reader of the parent": func(ctx context.Context, p *flame.Pool, file string) error {
		in := struct{ io.Reader }{io.LimitReader(bytes.NewReader(pattern(exchanged)), exchanged)}
		return flame.Run(ctx, p, func(context.Context) error {
			jot(file, "ran")
			b, err := io.ReadAll(in)
			if same := bytes.HasPrefix(pattern(exchanged), b); !same || err == nil && len(b) != exchanged {
				jot(file, fmt.Sprintf("wrong: %d bytes, as they were: %v, %v", len(b), same, err))
			}
			jot(file, fmt.Sprint("read: ", err))
			return err
		}, flame.Detach())
	},
	"a writer of the parent": func(ctx context.Context, p *flame.Pool, file string) error {
		var got bytes.Buffer
		out := struct{ io.Writer }{&got}
		err := flame.Run(ctx, p, func(context.Context) error {
			jot(file, "ran")
			for b := pattern(exchanged); len(b) > 0; b = b[min(len(b), 1000):] {
				if _, err := out.Write(b[:min(len(b), 1000)]); err != nil {
					return err
				}
			}
			return nil
		})
		if !bytes.HasPrefix(pattern(exchanged), got.Bytes()) || err == nil && got.Len() != exchanged {
			return fmt.Errorf("%d bytes have come, and not as they were written: %v", got.Len(), err)
		}
		return err
	},
	"a reader in a result": func(ctx context.Context, p *flame.Pool, file string) error {
		body, err := flame.Call(ctx, p, func(context.Context) (io.ReadCloser, error) {
			jot(file, "ran")
			return io.NopCloser(io.LimitReader(bytes.NewReader(pattern(exchanged)), exchanged)), nil
		})
		if err != nil {
			return err
		}
		defer body.Close()
		b, err := io.ReadAll(body)
		if !bytes.HasPrefix(pattern(exchanged), b) || err == nil && len(b) != exchanged {
			return fmt.Errorf("%d bytes were read, and not as they were: %v", len(b), err)
		}
		return err
	},
}

// TestF13_AConnectionThatIsCutAnywhereIsOneOutcomeAndNoEndOfFile cuts after so many bytes of an exchange, spread over all of them.
func TestF13_AConnectionThatIsCutAnywhereIsOneOutcomeAndNoEndOfFile(t *testing.T) {
	for name, exchange := range exchanges {
		for way, to := range []string{"parent", "runner"} {
			t.Run(name+" to the "+to, func(t *testing.T) {
				p, w, r := wired(t, cutOff)
				tidy(t, p)
				w.cutAfter(-1, way)
				if err := exchange(t.Context(), p, filepath.Join(t.TempDir(), "whole")); err != nil {
					t.Fatal(err)
				}
				all, lost := w.havePassed(way), 0
				const cuts = 10
				for i := range cuts {
					pid(t, p) // a new runner
					at := all * i / cuts
					file := filepath.Join(t.TempDir(), fmt.Sprint(i))
					w.cutAfter(at, way)
					err := exchange(t.Context(), p, file)
					w.cutAfter(-1, way)
					if judge(t, fmt.Sprintf("cut after %d of %d bytes", at, all), err, file) {
						lost++
					}
				}
				if lost == 0 { // some are over before so many bytes have passed: how many it takes varies
					t.Error("no call was lost")
				}
				noneLeft(t, p, r)
			})
		}
	}
}

// judge checks an outcome against what the function has written down, and says whether the call was lost.
func judge(t *testing.T, what string, err error, file string) (lost bool) {
	t.Helper()
	written, _ := os.ReadFile(file)
	runs := strings.Count(string(written), "ran\n")
	var e *flame.RunnerLostError
	switch lost = errors.As(err, &e); {
	case strings.Contains(string(written), "wrong"):
		t.Errorf("%s: %s", what, written)
	case runs > 1, err == nil && runs != 1:
		t.Errorf("%s: it has run %d times: %v", what, runs, err)
	case err != nil && !lost, errors.Is(err, io.EOF):
		t.Errorf("%s: %v", what, err)
	case lost && runs > 0 && (!e.Started || !flame.Ran(err)):
		t.Errorf("%s: it has run, but: %v", what, err)
	}
	return lost
}

// noneLeft waits until none but the last runner is there.
func noneLeft(t *testing.T, p *flame.Pool, r *recorder) {
	t.Helper()
	last := pid(t, p)
	free(t, p)
	for _, i := range r.booted() {
		if i.ID() != fmt.Sprint(last) {
			settle(t, func() bool { return ended(i) }, func() string { return "runner " + i.ID() + " is still there" })
		}
	}
}

// ended says whether a runner is gone.
func ended(i backend.Instance) bool {
	select {
	case <-i.Done():
		return true
	default:
		return false
	}
}

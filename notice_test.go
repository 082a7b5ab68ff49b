//go:build linux

package flame_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/fleetinglambda/flame"
)

func TestN13_AFunctionThatChangesWhatItCapturedIsWarnedAboutOnce(t *testing.T) {
	var log bytes.Buffer
	p, _ := open(t, flame.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	count, seen := 0, []string{"a"}
	for range 3 {
		if err := flame.Run(t.Context(), p, func(context.Context) error { count++; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	n, err := flame.Call(t.Context(), p, func(context.Context) (int, error) { return count + len(seen), nil })
	if err != nil || n != 1 {
		t.Errorf("%d, %v", n, err)
	}
	p.Close()
	const said = "stays on the runner"
	if got := log.String(); strings.Count(got, said) != 1 || !strings.Contains(got, "notice_test.go:20): captured *int") {
		t.Errorf("the log has it %d times: %s", strings.Count(got, said), got)
	}
}

func TestN18_AFunctionThatCarriesMuchIsWarnedAboutOnce(t *testing.T) {
	var log bytes.Buffer
	p, _ := open(t, flame.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	type index struct{ words []byte }
	load := func(n int) {
		in := &index{make([]byte, n)}
		got, err := flame.Call(t.Context(), p, func(context.Context) (int, error) { return len(in.words), nil })
		if err != nil || got != n {
			t.Fatalf("%d, %v", got, err)
		}
	}
	load(16<<20 - 100)
	load(48_000_000)
	load(48_000_000)
	p.Close()
	const said = "carries much"
	if got := log.String(); strings.Count(got, said) != 1 || !strings.Contains(got, `size="48 MB"`) || !strings.Contains(got, `.words ([]uint8)" part="48 MB"`) {
		t.Errorf("the log has it %d times: %s", strings.Count(got, said), got)
	}
}

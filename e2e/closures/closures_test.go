package main

import (
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend/process"
)

func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	flame.ServeIfRunner()
	os.Exit(m.Run())
}

// TestN01_ShapesCrossInATest is the mode "go test": this very binary is the program.
func TestN01_ShapesCrossInATest(t *testing.T) {
	pool, err := flame.Open(t.Context(), flame.Config{
		Max: 1, Backend: process.New(process.Options{Output: io.Discard}), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if n := len(shapes()); n < 60 {
		t.Errorf("only %d shapes", n)
	}
	if !compare(pool, func(s string) { t.Log(s) }) {
		t.Fail()
	}
}

// TestN01_ShapesCrossInEveryMode builds the program in the ways in which Go programs are built.
func TestN01_ShapesCrossInEveryMode(t *testing.T) {
	for name, flags := range map[string][]string{
		"plain":    nil,
		"pie":      {"-buildmode=pie"},
		"race":     {"-race"},
		"debugger": {"-gcflags=all=-N -l"},
		"stripped": {"-ldflags=-s -w"},
		"trimpath": {"-trimpath"},
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && flags != nil && name != "pie" {
				t.Skip("not with -short: this mode compiles the standard library anew")
			}
			if name == "race" && !compilesC() {
				t.Skip("no C compiler, which the race detector needs: apt-get install gcc libc6-dev")
			}
			program := filepath.Join(t.TempDir(), "closures")
			build := exec.CommandContext(t.Context(), "go", append(append([]string{"build", "-o", program}, flags...), ".")...)
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("go build %v: %v\n%s", flags, err, out)
			}
			check(t, exec.CommandContext(t.Context(), program))
		})
	}
	t.Run("go run", func(t *testing.T) { check(t, exec.CommandContext(t.Context(), "go", "run", ".")) })
}

func check(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	t.Log(strings.TrimSpace(string(out)))
	if err != nil || !strings.Contains(string(out), " shapes, 0 wrong, 0 refused") {
		t.Errorf("%v: %v", cmd.Args, err)
	}
}

func compilesC() bool {
	_, err := exec.LookPath("cc")
	return err == nil
}

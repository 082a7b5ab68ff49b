package main

import (
	"bytes"
	"flag"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend/process"
)

var (
	proof = flag.Bool("proof", false, "build the program in every way, not only in the quick ones")
	docs  = flag.String("page", "", "write the table of results into this file, between its markers")
)

func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	declare()
	flame.ServeIfRunner()
	os.Exit(m.Run())
}

// mode is a way to build and run the program.
type mode struct {
	name  string
	flags []string
	env   []string
	quick bool                    // built by every test run, not only by the proof
	needs func(*testing.T) string // says why this machine cannot; nil if every machine can
}

func modes() []mode {
	return []mode{
		{name: "plain", quick: true},
		{name: "-race", flags: []string{"-race"}, env: []string{"CGO_ENABLED=1"}, quick: true, needs: compiler},
		{name: "-N -l", flags: []string{"-gcflags=all=-N -l"}},
		{name: "-l", flags: []string{"-gcflags=all=-l"}},
		{name: "-s -w", flags: []string{"-ldflags=-s -w"}, quick: true},
		{name: "PIE", flags: []string{"-buildmode=pie"}, quick: true},
		{name: "PIE -s -w", flags: []string{"-buildmode=pie", "-ldflags=-s -w"}},
		{name: "-trimpath", flags: []string{"-trimpath"}},
		{name: "-cover", flags: []string{"-cover", "-coverpkg=all"}, env: []string{"GOCOVERDIR=" + os.TempDir()}},
		{name: "PGO", flags: []string{"-pgo=PROFILE"}},
		{name: "GOAMD64=v3", env: []string{"GOAMD64=v3"}, needs: v3},
		{name: "sizespecializedmalloc", env: []string{"GOEXPERIMENT=sizespecializedmalloc"}},
		{name: "no sizespecializedmalloc", env: []string{"GOEXPERIMENT=nosizespecializedmalloc"}},
		{name: "CGO_ENABLED=0", env: []string{"CGO_ENABLED=0"}},
		{name: "CGO_ENABLED=1", env: []string{"CGO_ENABLED=1"}, needs: compiler},
		{name: "arm64", env: []string{"GOARCH=arm64", "CGO_ENABLED=0"}, needs: emulator},
		{name: "arm64 -N -l", flags: []string{"-gcflags=all=-N -l"}, env: []string{"GOARCH=arm64", "CGO_ENABLED=0"}, needs: emulator},
		{name: "arm64 PIE -s -w", flags: []string{"-buildmode=pie", "-ldflags=-s -w"}, env: []string{"GOARCH=arm64", "CGO_ENABLED=0"}, needs: arm64Loader},
	}
}

// TestN01_ShapesCrossInEveryMode builds the program in the ways in which Go programs are built, and has it compare.
func TestN01_ShapesCrossInEveryMode(t *testing.T) {
	results := make(table)
	profile := filepath.Join(t.TempDir(), "cpu.pprof")
	for _, m := range modes() {
		t.Run(m.name, func(t *testing.T) {
			if !*proof && !m.quick {
				t.Skip("a way for make proof: it compiles the standard library anew")
			}
			if testing.Short() && m.name != "plain" {
				t.Skip("not with -short: it compiles the standard library anew")
			}
			if m.needs != nil {
				if why := m.needs(t); why != "" {
					t.Skip(why)
				}
			}
			program := filepath.Join(t.TempDir(), "closures")
			args := []string{"build", "-o", program}
			for _, f := range m.flags {
				args = append(args, strings.Replace(f, "PROFILE", profile, 1))
			}
			build := exec.CommandContext(t.Context(), "go", append(args, ".")...)
			build.Env = append(os.Environ(), m.env...)
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("%v go %v: %v\n%s", m.env, args, err, out)
			}
			cmd := exec.CommandContext(t.Context(), program)
			cmd.Env = append(os.Environ(), m.env...)
			if m.name == "plain" {
				cmd.Env = append(cmd.Env, "CLOSURES_PROFILE="+profile)
			}
			if strings.HasPrefix(m.name, "arm64") {
				cmd = exec.CommandContext(t.Context(), "qemu-aarch64", program)
				cmd.Env = append(os.Environ(), "CLOSURES_EMULATOR=qemu-aarch64", "QEMU_LD_PREFIX="+arm64Root)
			}
			results.check(t, m.name, cmd)
		})
	}
	t.Run("go run", func(t *testing.T) {
		if testing.Short() {
			t.Skip("not with -short: it links the program once more")
		}
		results.check(t, "go run", exec.CommandContext(t.Context(), "go", "run", "."))
	})
	t.Run("go test", func(t *testing.T) { // this very binary is the program
		pool, err := flame.Open(t.Context(), flame.Config{
			Max: 1, Backend: process.New(process.Options{Output: io.Discard}), Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer pool.Close()
		var out bytes.Buffer
		ok := compare(pool, func(s string) { out.WriteString(s + "\n") })
		results.read(t, "go test", out.String(), ok)
	})
	if *docs != "" && !t.Failed() {
		results.write(t, *docs)
	}
}

// check runs the program.
func (r table) check(t *testing.T, mode string, cmd *exec.Cmd) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Logf("%v: %v", cmd.Args, err)
	}
	r.read(t, mode, string(out), err == nil)
}

// TestThereAreEnoughShapes: what the proof is worth depends on how much it tries.
func TestThereAreEnoughShapes(t *testing.T) {
	shapes, generic := 0, 0
	for _, k := range kinds() {
		shapes += len(k.shapes)
		if strings.Contains(k.name, "generic") {
			generic += len(k.shapes)
		}
	}
	if len(kinds()) < 20 || shapes < 400 || generic < 80 || len(barred()) < 10 {
		t.Errorf("%d kinds, %d shapes, %d of them generic, %d barred", len(kinds()), shapes, generic, len(barred()))
	}
}

func compiler(*testing.T) string {
	if _, err := exec.LookPath("cc"); err != nil {
		return "no C compiler: apt-get install gcc libc6-dev"
	}
	return ""
}

func emulator(*testing.T) string {
	if _, err := exec.LookPath("qemu-aarch64"); err != nil {
		return "no emulator of arm64: apt-get install qemu-user"
	}
	return ""
}

// arm64Root is where Debian puts the libraries of arm64 on another processor.
const arm64Root = "/usr/aarch64-linux-gnu"

// arm64Loader asks for the program that loads programs that may lie anywhere.
func arm64Loader(t *testing.T) string {
	if _, err := os.Stat(arm64Root + "/lib/ld-linux-aarch64.so.1"); err != nil {
		return "no loader of programs for arm64: apt-get install libc6-arm64-cross"
	}
	return emulator(t)
}

func v3(t *testing.T) string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if runtime.GOARCH != "amd64" || err != nil || !strings.Contains(string(info), " avx2 ") || !strings.Contains(string(info), " bmi2 ") {
		return "the processor has no AVX2 and BMI2"
	}
	return ""
}

package image

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// TestEveryBuildModeIsUnderstood builds this package's tests in other ways and runs them.
func TestEveryBuildModeIsUnderstood(t *testing.T) {
	const inner = "FLAME_IMAGE_INNER"
	mustSelf(t)
	if os.Getenv(inner) != "" {
		t.Skip("this is already one of the modes")
	}
	modes := []string{"-buildmode=pie"}
	if testing.Short() {
		t.Log("short: PIE only")
	} else {
		modes = append(modes, "-race", "-gcflags=all=-N -l", "-gcflags=-l", "-ldflags=-s -w", "-trimpath", "-cover", "-ldflags=-buildid=")
	}
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-short", mode, ".")
			cmd.Env = append(os.Environ(), inner+"=1")
			if mode == "-race" && !raceWorks(t) {
				t.Skip("the race detector needs a C compiler")
			}
			if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "ok") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func raceWorks(t *testing.T) bool {
	out, err := exec.CommandContext(t.Context(), "go", "env", "CGO_ENABLED").Output()
	return err == nil && strings.TrimSpace(string(out)) == "1"
}

// TestOtherWaysToAllocateAreUnderstood has the compiler call allocators made for one size.
func TestOtherWaysToAllocateAreUnderstood(t *testing.T) {
	mustSelf(t)
	if testing.Short() {
		t.Skip("short: the standard library would be built again")
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-short", "-run", "Closures|Refused|Traps", ".")
	cmd.Env = append(os.Environ(), "GOEXPERIMENT=sizespecializedmalloc")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// arm64Root is where Debian has arm64's dynamic linker.
const arm64Root = "/usr/aarch64-linux-gnu"

// TestClosuresAreUnderstoodOnARM64 runs this package's tests on the other architecture.
func TestClosuresAreUnderstoodOnARM64(t *testing.T) {
	mustSelf(t)
	qemu, err := exec.LookPath("qemu-aarch64")
	if err != nil || runtime.GOARCH == "arm64" {
		t.Skip("qemu-aarch64 (Debian: qemu-user) runs arm64 executables; here that is not possible or not needed: ", err)
	}
	modes := [][]string{nil}
	if !testing.Short() {
		modes = append(modes, []string{"-gcflags=all=-N -l"}, []string{"-buildmode=pie", "-ldflags=-s -w"})
	}
	for _, mode := range modes {
		t.Run(strings.Join(mode, " "), func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "image.test")
			build := exec.CommandContext(t.Context(), "go", append(append([]string{"test", "-c", "-o", file}, mode...), ".")...)
			build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
			if out, err := build.CombinedOutput(); err != nil {
				t.Skipf("arm64 cannot be built for here: %v\n%s", err, out)
			}
			if _, err := os.Stat(arm64Root + "/lib/ld-linux-aarch64.so.1"); slices.Contains(mode, "-buildmode=pie") && err != nil {
				t.Skip("a position-independent executable needs Debian's libc6-arm64-cross: ", err)
			}
			run := exec.CommandContext(t.Context(), qemu, "-L", arm64Root, file, "-test.short", "-test.run", "Closures|Refused|Traps|Types|Generic|Flow|N03|Static")
			run.Env = append(os.Environ(), "FLAME_IMAGE_INNER=1")
			if out, err := run.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

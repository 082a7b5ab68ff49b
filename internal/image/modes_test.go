package image

import (
	"os"
	"os/exec"
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

// Package seeded puts a bug into the code, builds a random test with it and has that find it: who says that a test would
// notice has seen it notice.
package seeded

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Bug is a mistake: what stands in a file, once, and what a tired hand makes of it. The file is named as seen from the test.
type Bug = struct{ Name, File, Right, Wrong string }

// Test says which test of the package that is being tested is to find the bugs.
type Test struct {
	Name string
	Args []string                 // its own flags
	Says func(said string) string // the line of its output that says what it has found
}

// Find has the test find each of the bugs.
func (find Test) Find(t *testing.T, bugs []Bug) {
	if testing.Short() {
		t.Skip("skipped with -short: it builds this package many times")
	}
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("skipped: there is no go command to build this package with: ", err)
	}
	for _, bug := range bugs {
		t.Run(bug.Name, func(t *testing.T) {
			args := append([]string{
				"test", "-overlay", overlay(t, bug), "-run", "^" + find.Name + "$", "-timeout", "120s", "-vet", "off", "-count", "1", ".",
			}, find.Args...)
			out, err := exec.CommandContext(t.Context(), goTool, args...).CombinedOutput()
			switch said := string(out); {
			case t.Context().Err() != nil:
			case err == nil:
				t.Error("the random test did not find it")
			case !strings.Contains(said, "--- FAIL: "+find.Name) && !strings.Contains(said, "panic: "):
				t.Errorf("no run: %s", said)
			default:
				t.Log(find.Says(said))
			}
		})
	}
}

// overlay has the go command read a file with the bug instead of the one without.
func overlay(t *testing.T, b Bug) string {
	t.Helper()
	text, err := os.ReadFile(b.File)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), b.Right); n != 1 {
		t.Fatalf("%s has %q %d times: the bug has no place", b.File, b.Right, n)
	}
	here, err := filepath.Abs(b.File)
	if err != nil {
		t.Fatal(err)
	}
	buggy := filepath.Join(t.TempDir(), filepath.Base(b.File))
	plan, err := json.Marshal(map[string]map[string]string{"Replace": {here: buggy}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, buggy, []byte(strings.Replace(string(text), b.Right, b.Wrong, 1)))
	write(t, buggy+".json", plan)
	return buggy + ".json"
}

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

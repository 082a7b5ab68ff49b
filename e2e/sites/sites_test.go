package sites

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/fleetinglambda/flame/e2e/page"
	"github.com/fleetinglambda/flame/internal/image"
)

var (
	proof = flag.Bool("proof", false, "build large programs and survey them")
	docs  = flag.String("page", "", "write the table of results into this file, between its markers")
)

// program is a program of others: its module with the version, the package in it, and the processor it is built for.
type program struct{ module, pkg, arch string }

func programs() []program {
	return []program{
		{"github.com/golangci/golangci-lint/v2@v2.15.0", "./cmd/golangci-lint", "amd64"},
		{"github.com/versity/versitygw@v1.8.0", "./cmd/versitygw", "amd64"},
		{"github.com/gohugoio/hugo@v0.161.0", ".", "amd64"},
		{"github.com/versity/versitygw@v1.8.0", "./cmd/versitygw", "arm64"},
	}
}

// String is the program's name and version.
func (p program) String() string {
	module, version, _ := strings.Cut(p.module, "@")
	return strings.TrimSpace(path.Base(path.Join(module, p.pkg)) + " " + version)
}

const (
	understood = 0.999    // the part of the places that has to be bound
	largeFile  = 30 << 20 // or
	manySites  = 10_000   // make a program large
)

// TestN01_ThisProgramIsUnderstood surveys the program of this very test, which is at hand.
func TestN01_ThisProgramIsUnderstood(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux, where an executable finds itself by its path in /proc")
	}
	s, err := image.SurveyFile(image.Path)
	if err != nil {
		t.Fatal(err)
	}
	if s.Bound < s.Sites || s.Sites < 50 || len(s.Conflicts) > 0 {
		t.Errorf("%d of %d places bound, not %v, conflicts %v", s.Bound, s.Sites, s.Unbound, s.Conflicts)
	}
}

// TestN01_LargeProgramsAreUnderstood surveys programs that nobody wrote for this.
func TestN01_LargeProgramsAreUnderstood(t *testing.T) {
	if !*proof {
		t.Skip("for make proof: it builds large programs")
	}
	var table, lost strings.Builder
	table.WriteString("| program | platform | size | places that make a closure | bound | part | conflicts |\n|---|---|---|---|---|---|---|\n")
	for _, p := range programs() {
		t.Run(p.String()+" "+p.arch, func(t *testing.T) {
			file := p.build(t)
			info, err := os.Stat(file)
			if err != nil {
				t.Fatal(err)
			}
			s, err := image.SurveyFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if info.Size() < largeFile && s.Sites < manySites {
				t.Errorf("it is not large: %d bytes, %d places", info.Size(), s.Sites)
			}
			part := float64(s.Bound) / float64(s.Sites)
			if part < understood || len(s.Conflicts) > 0 {
				t.Errorf("%d of %d places bound, conflicts %v", s.Bound, s.Sites, s.Conflicts)
			}
			fmt.Fprintf(&table, "| %s | linux/%s | %.0f MB | %d | %d | %.2f %% | %d |\n",
				p, p.arch, float64(info.Size())/1e6, s.Sites, s.Bound, 100*part, len(s.Conflicts))
			for _, u := range s.Unbound {
				t.Logf("not bound: %s at %#x: %s", u.Func, u.PC, u.Reason)
				fmt.Fprintf(&lost, "- %s, linux/%s: `%s`: %s\n", p, p.arch, u.Func, u.Reason)
			}
		})
	}
	t.Log("\n" + table.String())
	if *docs != "" && !t.Failed() {
		if lost.Len() == 0 {
			lost.WriteString("None.\n")
		}
		if err := page.Fill(*docs, "large programs", table.String()+"\nThe places that are not bound:\n\n"+lost.String()); err != nil {
			t.Fatal(err)
		}
	}
}

// build builds the program as its own go.mod says, from the module cache or the proxy, and returns its file.
func (p program) build(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "program")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", file, p.pkg)
	cmd.Dir = source(t, p.module)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+p.arch, "CGO_ENABLED=0", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	return file
}

// source returns the folder that holds a module.
func source(t *testing.T, module string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", module).Output()
	var found struct{ Dir, Error string }
	if err := errors.Join(err, json.Unmarshal(out, &found)); err != nil {
		t.Fatalf("go mod download %s: %v %s", module, err, found.Error)
	}
	return found.Dir
}

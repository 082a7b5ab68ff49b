package refused

import (
	"bytes"
	"encoding/binary"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var proof = flag.Bool("proof", false, "try also the ways that compile the standard library anew")

const program = "../places/program"

// build builds a package and returns the executable's path.
func build(t *testing.T, what string, flags ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "program")
	goes(t, nil, append([]string{"build", "-o", out}, append(flags, what)...)...)
	return out
}

// goes runs the go command and returns what it prints.
func goes(t *testing.T, env []string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=1"), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("go %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// expect runs a program that has to fail with a text.
func expect(t *testing.T, want string, program string, args ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), want) {
		t.Errorf("%v\n%s\nwant %q", err, out, want)
	}
}

func needsCompiler(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("no C compiler: apt-get install gcc libc6-dev")
	}
}

func needsProof(t *testing.T) {
	t.Helper()
	if !*proof {
		t.Skip("a way for make proof: it compiles the standard library anew")
	}
	needsCompiler(t)
}

func TestN01_AClosureOfAPluginIsRefused(t *testing.T) {
	needsCompiler(t)
	dir := t.TempDir()
	plugged, host := filepath.Join(dir, "plugged.so"), filepath.Join(dir, "host")
	goes(t, nil, "build", "-o", plugged, "-buildmode=plugin", "./plugged")
	goes(t, nil, "build", "-o", host, "./host")
	expect(t, "its code lies in a plugin, which a runner does not have: move it into the program itself", host, plugged)
}

func TestN01_AProgramBuiltWithAsanIsRefused(t *testing.T) {
	needsProof(t)
	expect(t, "a program built with -asan cannot cross, as it marks memory that others may not read", build(t, program, "-asan"))
}

func TestN01_AProgramLinkedWithSharedLibrariesIsRefused(t *testing.T) {
	needsProof(t)
	root := filepath.Join(t.TempDir(), "go") // the shared standard library is installed into Go's own folder
	here := strings.TrimSpace(goes(t, nil, "env", "GOROOT"))
	if err := os.CopyFS(root, os.DirFS(here)); err != nil {
		t.Fatal(err)
	}
	env := []string{"GOROOT=" + root, "PATH=" + filepath.Join(root, "bin") + ":" + os.Getenv("PATH"), "GOTOOLCHAIN=local"}
	goes(t, env, "install", "-buildmode=shared", "std")
	linked := filepath.Join(t.TempDir(), "linked")
	goes(t, env, "build", "-linkshared", "-o", linked, program)
	expect(t, "a program that was linked with shared libraries of Go (-linkshared) cannot cross", linked)
}

// TestN01_APackedProgramIsRefused takes away from a program what packers take away: the table of its sections.
func TestN01_APackedProgramIsRefused(t *testing.T) {
	packed := build(t, program)
	data, err := os.ReadFile(packed)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(data, []byte("\x7fELF\x02")) {
		t.Fatal("not a 64 bit executable")
	}
	binary.NativeEndian.PutUint64(data[0x28:], 0) // where the table of sections is
	clear(data[0x3a:0x40])                        // how large it is
	if err := os.WriteFile(packed, data, fs.FileMode(0o755)); err != nil {
		t.Fatal(err)
	}
	expect(t, "this executable has lost its section headers (a packer such as upx?): ship it unpacked", packed)
}

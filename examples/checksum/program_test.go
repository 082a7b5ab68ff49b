package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// build builds the program, once for all tests.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(builtIn, "checksum")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// start runs the program in a directory and returns what it prints and its exit code.
func start(t *testing.T, program, dir string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return finish(t, exec.CommandContext(t.Context(), program, args...), dir)
}

// startWith does so in an environment.
func startWith(t *testing.T, env []string, program, dir string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = env
	return finish(t, cmd, dir)
}

// startOn does so with an input.
func startOn(t *testing.T, stdin, program, dir string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Stdin = strings.NewReader(stdin)
	return finish(t, cmd, dir)
}

func finish(t *testing.T, cmd *exec.Cmd, dir string) (stdout, stderr string, code int) {
	t.Helper()
	var out, problems bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &problems
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), problems.String(), cmd.ProcessState.ExitCode()
}

func TestTheProgramPrintsWhatSha256sumPrints(t *testing.T) {
	// Given a tree with names of every kind,
	program, files := build(t), odd()
	dir := tree(t, files)

	// when the program hashes it, then it succeeds without a word beside the sums,
	stdout, stderr, code := start(t, program, dir, ".")
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d, stderr %q", code, stderr)
	}
	lines := slices.Sorted(strings.Lines(stdout))
	if !slices.Equal(lines, sums(".", files)) {
		t.Errorf("got %q", lines)
	}
	// and sha256sum agrees with it, whatever the flags.
	if _, err := exec.LookPath("sha256sum"); err != nil {
		t.Skip("compared with crypto/sha256 alone: there is no sha256sum here")
	}
	for _, flags := range []string{"-runners=1 -concurrency=1", "-runners=3 -concurrency=2"} {
		other, _, _ := start(t, program, dir, append(strings.Fields(flags), ".")...)
		if other != stdout {
			t.Errorf("%s: it prints something else:\n%q", flags, other)
		}
	}
	check := exec.CommandContext(t.Context(), "sha256sum", "--check", "--strict", "--quiet")
	check.Dir, check.Stdin = dir, strings.NewReader(stdout)
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("sha256sum --check: %v\n%s", err, out)
	}
}

func TestTheProgramSaysWhatFails(t *testing.T) {
	program, dir := build(t), tree(t, map[string]string{"a": "a", "b": "b"})
	for _, c := range []struct {
		args, stderr string
		sums, code   int
	}{
		{"a missing b", "checksum: missing: no such file or directory\n", 2, 1},
		{"-runners=0 a", "checksum: -runners is 0: it must be from 1 to 1000\n", 0, 2},
		{"-concurrency=-1 a", "checksum: -concurrency is -1: it must be from 1 to 1000\n", 0, 2},
	} {
		stdout, stderr, code := start(t, program, dir, strings.Fields(c.args)...)
		if n := strings.Count(stdout, "\n"); n != c.sums || stderr != c.stderr || code != c.code {
			t.Errorf("checksum %s: exit code %d, %d sums, stderr %q", c.args, code, n, stderr)
		}
	}
}

func TestTheProgramStopsWhenNobodyReads(t *testing.T) {
	// Given a reader that has left,
	program, dir := build(t), tree(t, odd())
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer write.Close()
	read.Close()
	// when the program prints, then it ends with an exit code and no complaint.
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, "-runners=1", dir) // another would still be booting, and complain
	cmd.Stdout, cmd.Stderr = write, &stderr
	if cmd.Run(); cmd.ProcessState.ExitCode() != 1 || stderr.Len() > 0 {
		t.Errorf("%v, stderr %q", cmd.ProcessState, &stderr)
	}
}

func TestAnInterruptEndsTheProgramAndItsRunners(t *testing.T) {
	// Given the program at work on more than it can do,
	program, dir := build(t), tree(t, map[string]string{"first": "1"})
	huge(t, dir)
	stdout, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdout.Close()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, "first", "huge")
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, write, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	if _, err := stdout.Read(make([]byte, 1)); err != nil { // a runner is up
		t.Fatal(err)
	}
	// when it is interrupted,
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	// then it says so and ends, and so have its runners.
	cmd.Wait()
	if !strings.HasPrefix(stderr.String(), "checksum: interrupt") || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("%v, stderr %q", cmd.ProcessState, &stderr)
	}
	if running(t, program) {
		t.Error("a process is left")
	}
}

// running says whether a process of this program is there.
func running(t *testing.T, program string) bool {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(all, func(link string) bool {
		exe, err := os.Readlink(link)
		return err == nil && exe == program
	})
}

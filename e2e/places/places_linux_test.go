// Package places starts a program in the places in which programs find themselves.
package places

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// build builds the program and returns its path in a folder that everybody may enter.
func build(t *testing.T, env ...string) string {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		os.Chmod(d, 0o755)
	}
	program := filepath.Join(dir, "program")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./program")
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

func needsRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, to change the root folder or the user")
	}
}

// expect runs a command and looks for a word in what it prints.
func expect(t *testing.T, cmd *exec.Cmd, want string) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), want) {
		t.Errorf("%v: %v\n%s\nwant %q", cmd.Args, err, out, want)
	}
}

func TestWithAndWithoutCgo(t *testing.T) {
	for _, cgo := range []string{"0", "1"} {
		t.Run("CGO_ENABLED="+cgo, func(t *testing.T) {
			if _, err := exec.LookPath("cc"); err != nil && cgo == "1" {
				t.Skip("no C compiler: apt-get install gcc libc6-dev")
			}
			expect(t, exec.CommandContext(t.Context(), build(t, "CGO_ENABLED="+cgo)), "captured uid")
		})
	}
}

func TestAsAnotherUserWithNothing(t *testing.T) {
	needsRoot(t)
	cmd := exec.CommandContext(t.Context(), build(t, "CGO_ENABLED=0"))
	cmd.Dir, cmd.Env = "/", []string{"TMPDIR=/does/not/exist"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	expect(t, cmd, "captured uid 65534")
}

// TestInAnEmptyRoot is a container FROM scratch: the program, /proc, and a file system that cannot be written to.
func TestInAnEmptyRoot(t *testing.T) {
	needsRoot(t)
	if _, err := exec.LookPath("unshare"); err != nil {
		t.Skip("needs unshare: apt-get install util-linux")
	}
	program := build(t, "CGO_ENABLED=0")
	root := filepath.Join(filepath.Dir(program), "root")
	if err := errors.Join(os.Mkdir(root, 0o755), os.Mkdir(filepath.Join(root, "proc"), 0o755), copyFile(program, filepath.Join(root, "program"))); err != nil {
		t.Fatal(err)
	}
	// The mounts are in a namespace of their own, so that they are gone with it.
	cmd := exec.CommandContext(t.Context(), "unshare", "--mount", "--pid", "--fork", "sh", "-c",
		`mount --bind "$1" "$1" && mount -t proc proc "$1/proc" && mount -o remount,ro,bind "$1" && exec chroot --userspec=65534:65534 "$1" /program`, "sh", root)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	out, err := cmd.CombinedOutput()
	if err != nil && (strings.Contains(string(out), "Operation not permitted") || strings.Contains(string(out), "permission denied")) && !strings.Contains(string(out), "flame") {
		t.Skipf("this machine does not allow mounts in a namespace: %s", out)
	}
	if err != nil || !strings.Contains(string(out), "captured uid 65534") {
		t.Errorf("%v\n%s", err, out)
	}
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o755)
}

// TestExecutableReplacedOnDisk starts the program, replaces or removes its file, and has it open a pool then.
func TestExecutableReplacedOnDisk(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"replaced": func(path string) error {
			next := path + ".next"
			return errors.Join(os.WriteFile(next, []byte("#!/bin/sh\necho the new version\n"), 0o755), os.Rename(next, path))
		},
		"removed": os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			program := build(t)
			cmd := exec.CommandContext(t.Context(), program, "wait")
			in, inErr := cmd.StdinPipe()
			out, outErr := cmd.StdoutPipe()
			if err := errors.Join(inErr, outErr, cmd.Start()); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewReader(out)
			if line, err := lines.ReadString('\n'); line != "ready\n" {
				t.Fatalf("%q, %v", line, err)
			}
			if err := change(program); err != nil {
				t.Fatal(err)
			}
			io.WriteString(in, "go on\n")
			rest, _ := io.ReadAll(lines)
			if err := cmd.Wait(); err != nil || !strings.Contains(string(rest), "captured uid") {
				t.Errorf("%v\n%s", err, rest)
			}
		})
	}
}

// TestT16_RaisedRightsIgnoreTheInvite starts a program that is setuid root as somebody else, who sets the variable.
func TestT16_RaisedRightsIgnoreTheInvite(t *testing.T) {
	needsRoot(t)
	program := build(t, "CGO_ENABLED=0")
	if err := errors.Join(os.Chown(program, 0, 0), os.Chmod(program, 0o755|os.ModeSetuid)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = []string{`FLAME_PARENT={"runner":"mine"}`}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, _ := cmd.CombinedOutput()
	for _, want := range []string{"FLAME_PARENT is ignored", "runners would ignore what their parent tells them"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("it says\n%s\nand not %q", out, want)
		}
	}
}

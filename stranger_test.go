//go:build linux

package flame_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/backend/process"
)

func TestT06_NothingCrossesInPlainText(t *testing.T) {
	p, w, r := wired(t, flame.Config{Max: 1})
	w.keep()
	invites := make(chan string, 1)
	r.change = func(s *backend.Spec) { invites <- s.Env[len(s.Env)-1] }
	secret := strings.Repeat("a checksum that nobody is to see ", 1000)
	got, err := flame.Call(t.Context(), p, func(context.Context) (string, error) { return strings.ToUpper(secret), nil })
	if err != nil || got != strings.ToUpper(secret) {
		t.Fatalf("got %d bytes, %v", len(got), err)
	}
	p.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	crossed := w.kept.Bytes()
	if len(crossed) < 2*len(secret) {
		t.Fatalf("only %d bytes went through the wire", len(crossed))
	}
	for _, word := range []string{"a checksum that nobody", "A CHECKSUM THAT NOBODY", <-invites} {
		if bytes.Contains(crossed, []byte(word)) {
			t.Errorf("%.30q… crossed in plain text", word)
		}
	}
}

func TestT02_ARunnerListensNowhere(t *testing.T) {
	for name, b := range map[string]backend.Backend{
		"that inherits a socket": process.New(process.Options{Output: t.Output()}),
		"that dials":             dialling{process.New(process.Options{Output: t.Output()})},
	} {
		p, err := flame.Open(t.Context(), flame.Config{Name: "silent", Backend: b, Max: 1})
		if err != nil {
			t.Fatal(err)
		}
		if at := listening(t, pid(t, p)); len(at) > 0 {
			t.Errorf("a runner %s listens at %q", name, at)
		}
		p.Close()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") // or nothing would be found wherever it is
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	if at := listening(t, os.Getpid()); !strings.Contains(strings.Join(at, " "), ":"+port) {
		t.Errorf("this process listens at %s, and that is not among %q", l.Addr(), at)
	}
}

// listening returns at which ports a process listens.
func listening(t *testing.T, pid int) (at []string) {
	t.Helper()
	own := make(map[string]bool)
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil || len(files) == 0 {
		t.Fatalf("the descriptors of process %d: %v", pid, err)
	}
	for _, file := range files {
		to, _ := os.Readlink(file)
		own[strings.TrimSuffix(strings.TrimPrefix(to, "socket:["), "]")] = true
	}
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			if len(f) < 10 || f[3] != "0A" || !own[f[9]] { // 0A: it listens
				continue
			}
			_, port, _ := strings.Cut(f[1], ":")
			n, err := strconv.ParseUint(port, 16, 16)
			if err != nil {
				t.Fatal(err)
			}
			at = append(at, fmt.Sprintf("%s:%d", table, n))
		}
	}
	return at
}

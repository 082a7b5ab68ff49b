//go:build linux

package flame_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/backend/process"
)

// tapped has runners dial a tap on the line to their parent.
type tapped struct {
	dialling
	tap *tap
}

func (b tapped) Address(context.Context) (listen, dial string, err error) {
	return b.tap.to, b.tap.listener.Addr().String(), nil
}

// tap keeps all that crosses.
type tap struct {
	listener net.Listener
	to       string
	wg       sync.WaitGroup

	mu   sync.Mutex // guards what follows
	kept bytes.Buffer
}

func newTap(t *testing.T) *tap {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	tp := &tap{to: free.Addr().String()}
	if tp.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	tp.wg.Go(func() {
		for {
			from, err := tp.listener.Accept()
			if err != nil {
				return
			}
			tp.wg.Go(func() { tp.connect(from) })
		}
	})
	t.Cleanup(func() { tp.listener.Close(); tp.wg.Wait() })
	return tp
}

func (tp *tap) connect(from net.Conn) {
	to, err := net.Dial("tcp", tp.to)
	if err != nil {
		from.Close()
		return
	}
	var both sync.WaitGroup
	carry := func(to, from net.Conn) {
		defer to.Close()
		io.Copy(io.MultiWriter(to, tp), from)
	}
	both.Go(func() { carry(to, from) })
	both.Go(func() { carry(from, to) })
	both.Wait()
}

func (tp *tap) Write(b []byte) (int, error) {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	return tp.kept.Write(b)
}

func TestT06_NothingCrossesInPlainText(t *testing.T) {
	tp := newTap(t)
	invites := make(chan string, 1)
	b := tapped{dialling{process.New(process.Options{Output: t.Output()})}, tp}
	r := &recorder{Backend: b, change: func(s *backend.Spec) { invites <- s.Env[len(s.Env)-1] }}
	p, err := flame.Open(t.Context(), flame.Config{Name: "plain", Backend: networkedRecorder{r, b}, Max: 1})
	if err != nil {
		t.Fatal(err)
	}
	secret := strings.Repeat("a checksum that nobody is to see ", 1000)
	got, err := flame.Call(t.Context(), p, func(context.Context) (string, error) { return strings.ToUpper(secret), nil })
	if err != nil || got != strings.ToUpper(secret) {
		t.Fatalf("got %d bytes, %v", len(got), err)
	}
	p.Close()
	tp.mu.Lock()
	defer tp.mu.Unlock()
	crossed := tp.kept.Bytes()
	if len(crossed) < 2*len(secret) {
		t.Fatalf("only %d bytes went through the tap", len(crossed))
	}
	for _, word := range []string{"a checksum that nobody", "A CHECKSUM THAT NOBODY", <-invites, "plain"} {
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

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/backend/backendtest"
)

func TestMain(m *testing.M) {
	flame.ServeIfRunner()
	os.Exit(m.Run())
}

// server starts an SSH server of this user's own and returns what reaches it. Without one to start, the test is skipped.
func server(t *testing.T) machine {
	t.Helper()
	sshd, err := exec.LookPath("/usr/sbin/sshd")
	if err != nil {
		t.Skip("skipped: there is no /usr/sbin/sshd (as root on Debian: apt-get install openssh-server openssh-client)")
	}
	dir := t.TempDir()
	for _, key := range []string{"host", "user"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key)).CombinedOutput(); err != nil {
			t.Skipf("skipped: ssh-keygen does not work here: %v: %s", err, out)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
	l.Close()
	config := filepath.Join(dir, "config")
	text := fmt.Sprintf("ListenAddress 127.0.0.1\nPort %s\nHostKey %s/host\nAuthorizedKeysFile %s/user.pub\nStrictModes no\nUsePAM no\nPidFile none\nMaxStartups 100\nPermitRootLogin yes\n", port, dir, dir)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 { // sshd separates its privileges there
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(sshd, "-D", "-e", "-f", config)
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	m := machine{
		ssh: []string{
			"ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
			"-i", filepath.Join(dir, "user"), "-p", port, "127.0.0.1",
		},
		path: filepath.Join(dir, "the app"), dial: "127.0.0.1", env: []string{"FLAME_BACKENDTEST", "GORACE"},
	}
	for start := time.Now(); ; {
		err := m.bring(t.Context())
		if err == nil {
			return m
		}
		if time.Since(start) > 20*time.Second {
			t.Fatal(err)
		}
		wait := time.NewTimer(50 * time.Millisecond)
		<-wait.C
	}
}

func TestTheBackendPassesTheSuite(t *testing.T) {
	m := server(t)
	backendtest.Run(t, func(*testing.T) backend.Backend { return m })
}

func TestTheProgramRunsOnTheOtherSide(t *testing.T) {
	if err := run(t.Context(), server(t)); err != nil {
		t.Error(err)
	}
}

// remembering remembers what it has booted last.
type remembering struct {
	machine
	last *process
}

func (r *remembering) Boot(ctx context.Context, spec backend.Spec) (backend.Instance, error) {
	i, err := r.machine.Boot(ctx, spec)
	if err == nil {
		r.last = i.(*process)
	}
	return i, err
}

func TestARunnerEndsWithItsSSH(t *testing.T) {
	m := &remembering{machine: server(t)}
	p, err := flame.Open(t.Context(), flame.Config{Name: "ssh-test", Backend: m})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	pid, err := flame.Call(t.Context(), p, func(context.Context) (int, error) { return os.Getpid(), nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil { // it cannot notice anything
		t.Fatal(err)
	}
	if err := m.last.ssh.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); syscall.Kill(pid, 0) == nil; {
		if time.Since(start) > 20*time.Second {
			t.Fatal("the runner is still there")
		}
		wait := time.NewTimer(20 * time.Millisecond)
		<-wait.C
	}
	if err := flame.Run(t.Context(), p, func(context.Context) error { return nil }); err != nil {
		t.Errorf("the next call: %v", err)
	}
}

func TestAHostThatCannotBeReachedIsToldInWords(t *testing.T) {
	m := server(t)
	var said strings.Builder // written to by one goroutine, which Open waits for when it fails
	m.ssh[len(m.ssh)-2] = "1"
	_, err := flame.Open(t.Context(), flame.Config{
		Name: "ssh-test", Min: 1, Backend: m, Logger: slog.New(slog.NewTextHandler(&said, nil)),
	})
	var boot *flame.BootError
	if !errors.As(err, &boot) || !strings.Contains(said.String(), "refused") {
		t.Errorf("got %v, and ssh said %q", err, said.String())
	}
}

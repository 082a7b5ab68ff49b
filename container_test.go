//go:build linux

package flame_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/backend/process"
)

// contained opens a pool whose runners are process 1 each in a namespace of its own, as in a container.
func contained(t *testing.T) *flame.Pool {
	t.Helper()
	unshare, err := exec.LookPath("unshare")
	if err != nil || os.Getuid() != 0 {
		t.Skip("needs root and unshare (apt-get install util-linux), to make process 1 of a runner")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{Backend: process.New(process.Options{Output: t.Output()})}
	r.change = func(s *backend.Spec) {
		s.Path, s.Args = unshare, append([]string{"unshare", "--pid", "--fork", "--mount-proc", "--kill-child", self}, s.Args[1:]...)
	}
	p, err := flame.Open(t.Context(), flame.Config{Name: "test", Backend: r, Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func TestN20_Process1OfAContainerCollectsOrphans(t *testing.T) {
	p := contained(t)
	left, err := flame.Call(t.Context(), p, func(ctx context.Context) (string, error) {
		if os.Getpid() != 1 {
			return "", fmt.Errorf("this is process %d", os.Getpid())
		}
		out, err := exec.CommandContext(ctx, "sh", "-c", "sleep 0.1 & echo $!").Output() // the shell does not wait for it
		if err != nil {
			return "", err
		}
		orphan := strings.TrimSpace(string(out))
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		seen := ""
		for {
			stat, err := os.ReadFile("/proc/" + orphan + "/stat")
			switch {
			case errors.Is(err, os.ErrNotExist):
				return seen, nil
			case strings.Contains(string(stat), ") Z 1 "):
				seen = "it was a child of process 1 that had ended"
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return string(stat), ctx.Err()
			}
		}
	})
	if err != nil || left != "it was a child of process 1 that had ended" {
		t.Errorf("%q, %v", left, err)
	}
	for range 20 { // while its own children are left to it
		if err := flame.Run(t.Context(), p, func(ctx context.Context) error {
			return exec.CommandContext(ctx, "true").Run()
		}); err != nil {
			t.Error(err)
		}
	}
}

func TestN20_Process1OfAContainerHeedsSIGTERM(t *testing.T) {
	p := contained(t)
	n := listen(t)
	addr := n.addr
	task := flame.Start(t.Context(), p, func(context.Context) (int, error) { return os.Getpid(), hold(addr) })
	n.next(t)
	terminate := func(context.Context) error { return syscall.Kill(1, syscall.SIGTERM) }
	if err := flame.Run(t.Context(), p, terminate); err != nil {
		t.Fatal(err)
	}
	settle(t, func() bool { return p.Stats().Draining == 1 }, func() string { return "it does not say that it leaves" })
	n.release()
	if got, err := task.Wait(t.Context()); got != 1 || err != nil {
		t.Errorf("%d, %v", got, err)
	}
	settle(t, func() bool { return p.Stats().Gone == 1 }, func() string { return "it has not left" })
	_, err := flame.Call(t.Context(), p, func(context.Context) (int, error) {
		for range 2 {
			if err := syscall.Kill(1, syscall.SIGTERM); err != nil {
				return 0, err
			}
			<-time.After(100 * time.Millisecond)
		}
		_, err := io.ReadAll(os.Stdin)
		<-make(chan int)
		return 0, err
	})
	var lost *flame.RunnerLostError
	if !errors.As(err, &lost) || !lost.Started {
		t.Errorf("the second one does not end it at once: %v", err)
	}
}

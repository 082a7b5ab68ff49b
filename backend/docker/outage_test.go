//go:build linux

package docker_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend/docker"
)

// own is an engine that a test may do anything to. It makes no rules, and has a bridge of the other's: without one it would
// remove the other's default one. Its containers are on the host's network.
type own struct {
	dir    string
	client *client.Client
	cmd    *exec.Cmd
}

// ownBridge is its name.
const ownBridge = "flame-own"

// engine starts one; it is ended, and what it has made is removed, after the test.
func engine(t *testing.T, flags ...string) *own {
	t.Helper()
	on := options(t)
	if _, err := exec.LookPath("dockerd"); err != nil || os.Getuid() != 0 {
		t.Skip("skipped: it needs root and dockerd, to start an engine that may be killed")
	}
	onNetwork(t, &on, ownBridge)
	dir, err := os.MkdirTemp("", "flame") // a socket's path must not be long
	if err != nil {
		t.Fatal(err)
	}
	e := &own{dir: dir}
	t.Cleanup(func() { e.clean(t) })
	if e.client, err = client.New(client.WithHost("unix://" + filepath.Join(dir, "socket"))); err != nil {
		t.Fatal(err)
	}
	e.start(t, flags...)
	return e
}

// start starts it, for the first time or again.
func (e *own) start(t *testing.T, flags ...string) {
	t.Helper()
	_ = os.Remove(filepath.Join(e.dir, "exec", "containerd", "containerd.pid")) // of one that has gone with the engine
	log, err := os.OpenFile(filepath.Join(e.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	e.cmd = exec.Command("dockerd", append([]string{
		"--data-root", filepath.Join(e.dir, "data"), "--exec-root", filepath.Join(e.dir, "exec"), "-p", filepath.Join(e.dir, "pid"),
		"-H", "unix://" + filepath.Join(e.dir, "socket"), "--bridge", ownBridge, "--iptables=false", "--ip-forward=false", "--ip-masq=false",
	}, flags...)...)
	e.cmd.Stdout, e.cmd.Stderr = log, log
	if err := e.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the engine answers", func() bool {
		_, err := e.client.Ping(t.Context(), client.PingOptions{})
		return err == nil
	})
}

// end ends it, and its containers with SIGTERM.
func (e *own) end(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := e.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
	_ = e.cmd.Wait() // as it was told
}

func (e *own) clean(t *testing.T) {
	t.Helper()
	if e.cmd != nil {
		_ = e.cmd.Process.Signal(syscall.SIGTERM) // it may be gone
		_ = e.cmd.Wait()
	}
	commands, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range commands { // what an engine that was killed has left
		if text, _ := os.ReadFile(file); strings.Contains(string(text), e.dir+"/exec/") {
			pid, _ := strconv.Atoi(strings.Split(file, "/")[2])
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Error(err)
	}
	lines := strings.Split(string(mounts), "\n")
	slices.Reverse(lines) // the last mounted first
	for _, line := range lines {
		if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[1], e.dir+"/") {
			_ = syscall.Unmount(f[1], 0)
		}
	}
	if t.Failed() {
		log, _ := os.ReadFile(filepath.Join(e.dir, "log"))
		t.Logf("the engine's log ends with: %s", log[max(0, len(log)-3000):])
	}
	if err := os.RemoveAll(e.dir); err != nil {
		t.Error(err)
	}
}

// options are for runners on this engine.
func (e *own) options(t *testing.T) docker.Options {
	t.Helper()
	m, err := makeImage(e.client)
	if err != nil {
		t.Fatal(err)
	}
	o := m.options(t)
	o.Network = "host"
	return o
}

func TestN14_AnEngineThatIsKilledAndStartedAgainIsOutlasted(t *testing.T) {
	e := engine(t)
	p := open(t, e.options(t), flame.Config{Min: 1, BootTimeout: 5 * time.Second})
	finish := make(chan struct{})
	var finished <-chan struct{} = finish
	beside := flame.Start(t.Context(), p, func(context.Context) (int, error) { <-finished; return 0, nil })
	eventually(t, "it runs", func() bool { return p.Stats().Started > 0 })
	// Given an engine that is killed,
	e.end(t, syscall.SIGKILL)
	passes(t, p) // on the same runner: calls do not need the engine
	close(finish)
	if _, err := beside.Wait(t.Context()); err != nil {
		t.Errorf("a call from before: %v", err)
	}
	other := docker.New(e.away(t))
	_, err := flame.Open(t.Context(), flame.Config{Name: "docker-away", Min: 1, BootTimeout: 3 * time.Second, Backend: other})
	if boot := new(flame.BootError); !errors.As(err, &boot) || !strings.Contains(err.Error(), "Docker daemon") {
		t.Errorf("a boot meanwhile: %v", err)
	}
	// when it is started again, and ends what it finds,
	task := flame.Start(t.Context(), p, func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, nil })
	eventually(t, "it runs", func() bool { return p.Stats().Running == 1 })
	e.start(t)
	// then that is a loss like any other.
	_, err = task.Wait(t.Context())
	if lost := lostIn(t, err); !lost.Started {
		t.Errorf("got %v", err)
	}
	passes(t, p)
}

// away are options for an engine that does not answer.
func (e *own) away(t *testing.T) docker.Options {
	return docker.Options{Client: e.client, Image: "any", Network: "host", Output: t.Output()}
}

func TestN14_RunnersOfAnEngineThatKeepsItsContainersAliveStay(t *testing.T) {
	e := engine(t, "--live-restore")
	o := e.options(t)
	o.Container = func(_ *container.Config, h *container.HostConfig) { h.AutoRemove = false } // engines up to 20.10 remove those that have it when they start
	p := open(t, o, flame.Config{Min: 1})
	e.end(t, syscall.SIGTERM)
	passes(t, p)
	e.start(t, "--live-restore")
	passes(t, p)
	if s := p.Stats(); s.Boots != 1 || s.Gone != 0 {
		t.Errorf("%+v", s)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	eventually(t, "its container has ended", func() bool {
		found, err := e.client.ContainerList(t.Context(), client.ContainerListOptions{})
		return err == nil && len(found.Items) == 0
	})
}

func TestF10_AnEngineThatIsShutDownLetsCallsFinish(t *testing.T) {
	e := engine(t)
	p := open(t, e.options(t), flame.Config{Min: 1})
	finish := make(chan struct{})
	var finished <-chan struct{} = finish
	task := flame.Start(t.Context(), p, func(context.Context) (int, error) { <-finished; return 7, nil })
	eventually(t, "it runs", func() bool { return p.Stats().Started > 0 })
	if err := e.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its runner says that it leaves", func() bool { return p.Stats().Draining == 1 })
	close(finish)
	if n, err := task.Wait(t.Context()); n != 7 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	_ = e.cmd.Wait() // as it was told
	e.start(t)
	passes(t, p)
	// then what could not be removed while the engine was away is not left.
	p.Close()
	eventually(t, "no container is left", func() bool {
		found, err := e.client.ContainerList(t.Context(), client.ContainerListOptions{All: true})
		return err == nil && len(found.Items) == 0
	})
}

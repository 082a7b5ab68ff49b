//go:build linux

package docker_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/backend/backendtest"
	"github.com/fleetinglambda/flame/backend/docker"
)

// parentVariable makes this test binary a parent in a process of its own.
const parentVariable = "FLAME_TEST_PARENT"

func TestMain(m *testing.M) {
	flame.ServeIfRunner()
	if os.Getenv(parentVariable) != "" {
		parentProgram()
		return
	}
	code := m.Run()
	if made, err := image(); err == nil {
		_, _ = made.client.ImageRemove(context.Background(), made.name, client.ImageRemoveOptions{Force: true})
	}
	os.Exit(code)
}

// made is the image that these tests have made of themselves.
type made struct {
	client *client.Client
	name   string
}

// image makes an image that holds this very executable. The libraries that it needs, if it is not static, are mounted.
var image = sync.OnceValues(func() (*made, error) {
	c, err := client.New(client.FromEnv)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := c.Ping(ctx, client.PingOptions{}); err != nil {
		return nil, err
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	if err := errors.Join(
		w.WriteHeader(&tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777}),
		w.WriteHeader(&tar.Header{Name: "app", Mode: 0o755, Size: int64(len(self))}),
	); err != nil {
		return nil, err
	}
	if _, err := w.Write(self); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	m := &made{client: c, name: fmt.Sprintf("flame-test:%d", os.Getpid())}
	answer, err := c.ImageImport(ctx, client.ImageImportSource{Source: &layer, SourceName: "-"}, m.name, client.ImageImportOptions{})
	if err != nil {
		return nil, err
	}
	defer answer.Close()
	_, err = io.Copy(io.Discard, answer)
	return m, err
})

// options are for runners of the test image. Without an engine the test is skipped.
func options(t *testing.T) docker.Options {
	t.Helper()
	m, err := image()
	if err != nil {
		t.Skipf("skipped: no Docker Engine can be reached (DOCKER_HOST says which; scripts/docker starts one, as root): %v", err)
	}
	o := docker.Options{Client: m.client, Image: m.name, Path: "/app", Env: []string{"FLAME_*", "GORACE"}, Output: t.Output()}
	for _, dir := range []string{"/lib", "/lib64", "/usr/lib"} {
		if _, err := os.Stat(dir); err == nil {
			o.Mounts = append(o.Mounts, mount.Mount{Type: mount.TypeBind, Source: dir, Target: dir, ReadOnly: true})
		}
	}
	return o
}

func open(t *testing.T, o docker.Options, c flame.Config) *flame.Pool {
	t.Helper()
	c.Name, c.Backend = "docker-test", docker.New(o)
	p, err := flame.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// containers returns the names of the containers of a pool, running or not.
func containers(t *testing.T, pool string) (names []string) {
	t.Helper()
	m, err := image()
	if err != nil {
		t.Fatal(err)
	}
	found, err := m.client.ContainerList(t.Context(), client.ContainerListOptions{All: true, Filters: make(client.Filters).Add("label", "flame.pool="+pool)})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range found.Items {
		names = append(names, c.Names...)
	}
	return names
}

// eventually waits for what others do.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for start := time.Now(); !is(); {
		if time.Since(start) > 30*time.Second {
			t.Fatalf("never: %s", what)
		}
		wait := time.NewTimer(20 * time.Millisecond)
		<-wait.C
	}
}

func TestF15_DockerPassesTheSuite(t *testing.T) {
	o := options(t)
	backendtest.Run(t, func(*testing.T) backend.Backend {
		o.Output = nil
		return docker.New(o)
	})
}

func TestF15_ARunnerIsAContainerWithTheLimitsThatWereSet(t *testing.T) {
	o := options(t)
	o.CPUs, o.Memory, o.PIDs, o.Labels = 0.5, 256<<20, 200, map[string]string{"team": "video"}
	p := open(t, o, flame.Config{})
	host, err := flame.Call(t.Context(), p, func(context.Context) (string, error) { return os.Hostname() })
	if err != nil {
		t.Fatal(err)
	}
	c, err := o.Client.ContainerInspect(t.Context(), host, client.ContainerInspectOptions{}) // a container's id is its host's name
	if err != nil {
		t.Fatal(err)
	}
	h := c.Container.HostConfig
	if h.NanoCPUs != 5e8 || h.Memory != 256<<20 || *h.PidsLimit != 200 || !h.AutoRemove || c.Container.Config.Labels["team"] != "video" {
		t.Errorf("%+v", h)
	}
	p.Close()
	eventually(t, "its container is removed", func() bool { return len(containers(t, "docker-test")) == 0 })
}

func TestF14_WhatAContainerPrintsGoesToThePoolsLogger(t *testing.T) {
	o := options(t)
	o.Output = nil
	var mu sync.Mutex
	var log strings.Builder
	p := open(t, o, flame.Config{MaxConcurrency: 1, Logger: slog.New(slog.NewTextHandler(writer(func(b []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return log.Write(b)
	}), nil))})
	if err := flame.Run(t.Context(), p, func(context.Context) error { fmt.Println("printed in a container"); return nil }); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is logged", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return strings.Contains(log.String(), `msg="printed in a container" pool=docker-test runner=docker-test-`)
	})
}

// writer is a function that writes.
type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

func TestN14_OutOfMemoryIsToldAsSuch(t *testing.T) {
	o := options(t)
	o.Memory = 64 << 20
	p := open(t, o, flame.Config{})
	err := flame.Run(t.Context(), p, func(context.Context) error {
		var all [][]byte
		for len(all) < 1<<20 {
			all = append(all, bytes.Repeat([]byte{1}, 1<<20))
		}
		return fmt.Errorf("it got %d MiB", len(all))
	})
	var lost *flame.RunnerLostError
	if !errors.As(err, &lost) || !lost.OOM || !lost.Started {
		t.Errorf("got %v", err)
	}
	if err := flame.Run(t.Context(), p, func(context.Context) error { return nil }); err != nil {
		t.Errorf("the pool: %v", err)
	}
}

func TestN14_AKilledContainerIsLostWithItsSignal(t *testing.T) {
	o := options(t)
	p := open(t, o, flame.Config{Min: 1})
	name := strings.TrimPrefix(containers(t, "docker-test")[0], "/")
	task := flame.Start(t.Context(), p, func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, nil })
	eventually(t, "it runs", func() bool { return p.Stats().Started > 0 })
	if _, err := o.Client.ContainerKill(t.Context(), name, client.ContainerKillOptions{Signal: "SIGKILL"}); err != nil {
		t.Fatal(err)
	}
	_, err := task.Wait(t.Context())
	var lost *flame.RunnerLostError
	if !errors.As(err, &lost) || lost.OOM || lost.Signal == nil || lost.Signal.String() != "killed" {
		t.Errorf("got %v", err)
	}
}

func TestBootErrorsSayWhatIsWrong(t *testing.T) {
	o := options(t)
	for _, c := range []struct {
		name  string
		wrong func(*docker.Options)
		says  []string
	}{
		{"no such image", func(o *docker.Options) { o.Image = "no-such-image:1" }, []string{"no-such-image:1", "No such image"}},
		{"no such network", func(o *docker.Options) { o.Network = "nowhere" }, []string{"network nowhere"}},
		{"no such file", func(o *docker.Options) { o.Path = "/elsewhere" }, []string{"/elsewhere", "no such file"}},
		{"no image", func(o *docker.Options) { o.Image = "" }, []string{"Options.Image"}},
		{"a firewall", func(o *docker.Options) { o.Dial = "192.0.2.1:9" }, []string{"192.0.2.1:9", "it was not ready in"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := o
			c.wrong(&o)
			_, err := flame.Open(t.Context(), flame.Config{Name: "docker-wrong", Min: 1, BootTimeout: 4 * time.Second, Backend: docker.New(o)})
			var boot *flame.BootError
			if !errors.As(err, &boot) {
				t.Fatalf("got %v", err)
			}
			for _, want := range c.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in: %v", want, err)
				}
			}
		})
	}
	eventually(t, "nothing is left", func() bool { return len(containers(t, "docker-wrong")) == 0 })
}

// parentProgram opens a pool of containers and waits to be killed.
func parentProgram() {
	o := docker.Options{Mounts: mountsOf(os.Getenv("FLAME_TEST_MOUNTS"))}
	if o.Image = os.Getenv("FLAME_TEST_IMAGE"); o.Image != "" {
		o.Path = "/app"
	}
	p, err := flame.Open(context.Background(), flame.Config{Name: os.Getenv(parentVariable), Min: 2, Backend: docker.New(o)})
	fmt.Println("open", err)
	if err == nil {
		waitForEnd()
		p.Close()
	}
}

func TestF15_AProgramInAContainerNeedsNoSettings(t *testing.T) {
	o := options(t)
	socket, ok := strings.CutPrefix(o.Client.DaemonHost(), "unix://")
	if !ok {
		t.Skipf("skipped: the engine is reached at %s, and a container can be given a socket only: set DOCKER_HOST to unix://…", o.Client.DaemonHost())
	}
	// Given a parent in a container of its own, that may talk to the engine,
	parent, err := o.Client.ContainerCreate(t.Context(), client.ContainerCreateOptions{
		Config: &container.Config{
			Image: o.Image, Entrypoint: []string{"/app"},
			Env: []string{
				parentVariable + "=docker-inside", "FLAME_TEST_MOUNTS=" + strings.Join(sources(o.Mounts), " "), "DOCKER_HOST=unix:///socket",
			},
		},
		HostConfig: &container.HostConfig{
			AutoRemove: true,
			Mounts:     append(o.Mounts, mount.Mount{Type: mount.TypeBind, Source: socket, Target: "/socket"}),
			GroupAdd:   []string{"0"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = o.Client.ContainerRemove(context.Background(), parent.ID, client.ContainerRemoveOptions{Force: true}) // it may be gone
	})
	// when it opens a pool without any settings,
	if _, err := o.Client.ContainerStart(t.Context(), parent.ID, client.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its pool is open", func() bool { return strings.Contains(logs(t, o.Client, parent.ID), "open <nil>") })
	// then its runners are containers of its image, on its network, and go when it is killed.
	if n := len(containers(t, "docker-inside")); n != 2 {
		t.Errorf("%d runners", n)
	}
	own, err := o.Client.ContainerInspect(t.Context(), parent.ID, client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range containers(t, "docker-inside") {
		c, err := o.Client.ContainerInspect(t.Context(), name, client.ContainerInspectOptions{})
		if err != nil || c.Container.Image != own.Container.Image || c.Container.NetworkSettings.Networks["bridge"] == nil {
			t.Errorf("%s: %+v, %v", name, c.Container, err)
		}
	}
	if _, err := o.Client.ContainerKill(t.Context(), parent.ID, client.ContainerKillOptions{Signal: "SIGKILL"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "they are gone", func() bool { return len(containers(t, "docker-inside")) == 0 })
}

// logs returns what a container has written.
func logs(t *testing.T, c *client.Client, id string) string {
	t.Helper()
	r, err := c.ContainerLogs(t.Context(), id, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func mountsOf(dirs string) (m []mount.Mount) {
	for _, dir := range strings.Fields(dirs) {
		m = append(m, mount.Mount{Type: mount.TypeBind, Source: dir, Target: dir, ReadOnly: true})
	}
	return m
}

func sources(mounts []mount.Mount) (dirs []string) {
	for _, m := range mounts {
		dirs = append(dirs, m.Source)
	}
	return dirs
}

// beginParent starts a parent in a process of its own, with two runners.
func beginParent(t *testing.T, pool string) *exec.Cmd {
	t.Helper()
	o := options(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), parentVariable+"="+pool, "FLAME_TEST_IMAGE="+o.Image, "FLAME_TEST_MOUNTS="+strings.Join(sources(o.Mounts), " "))
	cmd.Stderr = t.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait() // it may have been killed
	})
	line := make([]byte, 64)
	n, err := out.Read(line)
	if err != nil || string(line[:n]) != "open <nil>\n" {
		t.Fatalf("the parent says %q, %v", line[:n], err)
	}
	return cmd
}

func TestB11_ContainersGoWhenTheirParentIsKilled(t *testing.T) {
	cmd := beginParent(t, "docker-orphans")
	if n := len(containers(t, "docker-orphans")); n != 2 {
		t.Fatalf("%d containers", n)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "they are gone", func() bool { return len(containers(t, "docker-orphans")) == 0 })
}

func TestB11_ReapRemovesWhatADeadParentLeftAndNothingElse(t *testing.T) {
	o := options(t)
	// Given two parents, one of which dies while its runners cannot notice,
	dead, alive := beginParent(t, "docker-dead"), beginParent(t, "docker-alive")
	_ = alive
	left := containers(t, "docker-dead")
	for _, name := range left {
		if _, err := o.Client.ContainerPause(t.Context(), name, client.ContainerPauseOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := dead.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = dead.Wait()
	// when a third one looks,
	r := docker.New(o).(backend.Reaper)
	would, err := r.Reap(t.Context(), true)
	if err != nil || len(would) != 2 || len(containers(t, "docker-dead")) != 2 {
		t.Fatalf("a dry run names %q, %v", would, err)
	}
	did, err := r.Reap(t.Context(), false)
	// then it removes what the dead one left.
	if err != nil || fmt.Sprint(did) != fmt.Sprint(would) {
		t.Errorf("removed %q, %v; a dry run said %q", did, err, would)
	}
	eventually(t, "they are removed", func() bool { return len(containers(t, "docker-dead")) == 0 })
	if n := len(containers(t, "docker-alive")); n != 2 {
		t.Errorf("%d containers of a live parent are left", n)
	}
	if again, err := r.Reap(t.Context(), false); len(again) > 0 || err != nil {
		t.Errorf("then it removes %q, %v", again, err)
	}
}

// waitForEnd waits until whoever has started this process wants it to end: it is killed, or its stdin is closed. In a
// container stdin has nothing from the start.
func waitForEnd() {
	if os.Getpid() == 1 {
		select {}
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}

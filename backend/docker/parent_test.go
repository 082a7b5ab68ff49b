//go:build linux

package docker_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/backend/docker"
)

// networkVariable names the network of a parent's runners.
const networkVariable = "FLAME_TEST_NETWORK"

// parentProgram opens a pool of containers and waits to be killed.
func parentProgram() {
	o := docker.Options{Mounts: mountsOf(os.Getenv("FLAME_TEST_MOUNTS")), Network: os.Getenv(networkVariable)}
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
func beginParent(t *testing.T, pool string, env ...string) *exec.Cmd {
	t.Helper()
	o := options(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), parentVariable+"="+pool, "FLAME_TEST_IMAGE="+o.Image, "FLAME_TEST_MOUNTS="+strings.Join(sources(o.Mounts), " "))
	cmd.Env = append(cmd.Env, env...)
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

func reaper(o docker.Options) backend.Reaper { return docker.New(o).(backend.Reaper) }

// waitForEnd waits until whoever has started this process wants it to end: it is killed, or its stdin is closed. In a
// container stdin has nothing from the start.
func waitForEnd() {
	if os.Getpid() == 1 {
		select {}
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// beginInside starts a parent in a container of its own, that may talk to the engine, with two runners, and returns its id.
func beginInside(t *testing.T, pool string) string {
	t.Helper()
	o := options(t)
	socket, ok := strings.CutPrefix(o.Client.DaemonHost(), "unix://")
	if !ok {
		t.Skipf("skipped: the engine is reached at %s, and a container can be given a socket only: set DOCKER_HOST to unix://…", o.Client.DaemonHost())
	}
	parent, err := o.Client.ContainerCreate(t.Context(), client.ContainerCreateOptions{
		Config: &container.Config{
			Image: o.Image, Entrypoint: []string{"/app"},
			Env: []string{
				parentVariable + "=" + pool, "FLAME_TEST_MOUNTS=" + strings.Join(sources(o.Mounts), " "), "DOCKER_HOST=unix:///socket",
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
	if _, err := o.Client.ContainerStart(t.Context(), parent.ID, client.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its pool is open", func() bool { return strings.Contains(logs(t, o.Client, parent.ID), "open <nil>") })
	if n := len(containers(t, pool)); n != 2 {
		t.Fatalf("%d runners", n)
	}
	return parent.ID
}

func TestF15_AProgramInAContainerNeedsNoSettings(t *testing.T) {
	o := options(t)
	parent := beginInside(t, "docker-inside")
	own, err := o.Client.ContainerInspect(t.Context(), parent, client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range containers(t, "docker-inside") { // they are of its image, on its network
		c, err := o.Client.ContainerInspect(t.Context(), name, client.ContainerInspectOptions{})
		if err != nil || c.Container.Image != own.Container.Image || c.Container.NetworkSettings.Networks["bridge"] == nil {
			t.Errorf("%s: %+v, %v", name, c.Container, err)
		}
	}
	if _, err := o.Client.ContainerKill(t.Context(), parent, client.ContainerKillOptions{Signal: "SIGKILL"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "they are gone", func() bool { return len(containers(t, "docker-inside")) == 0 })
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
	r := reaper(o)
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

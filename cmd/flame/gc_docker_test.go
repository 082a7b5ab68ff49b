//go:build linux

package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"

	runners "github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend/docker"
)

// openPool opens a pool with two containers, in which the libraries that the executable needs are mounted.
func openPool(ctx context.Context, name, image string) (*runners.Pool, error) {
	o := docker.Options{Image: image, Path: "/app", Output: io.Discard}
	for _, dir := range []string{"/lib", "/lib64", "/usr/lib"} {
		if _, err := os.Stat(dir); err == nil {
			o.Mounts = append(o.Mounts, mount.Mount{Type: mount.TypeBind, Source: dir, Target: dir, ReadOnly: true})
		}
	}
	return runners.Open(ctx, runners.Config{Name: name, Min: 2, Max: 2, Backend: docker.New(o)})
}

// engine returns a client of an engine that has an image of this executable. Without one the test is skipped.
func engine(t *testing.T) (c *client.Client, image string) {
	t.Helper()
	c, err := client.New(client.FromEnv)
	if err == nil {
		_, err = c.Ping(t.Context(), client.PingOptions{})
	}
	if err != nil {
		t.Skipf("skipped: no Docker Engine can be reached (DOCKER_HOST says which; scripts/docker starts one, as root): %v", err)
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	if err := errors.Join(
		w.WriteHeader(&tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777}),
		w.WriteHeader(&tar.Header{Name: "app", Mode: 0o755, Size: int64(len(self))}),
	); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(self); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	image = fmt.Sprintf("flame-gc-test:%d", os.Getpid())
	made, err := c.ImageImport(t.Context(), client.ImageImportSource{Source: &layer, SourceName: "-"}, image, client.ImageImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer made.Close()
	if _, err := io.Copy(io.Discard, made); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = c.ImageRemove(context.Background(), image, client.ImageRemoveOptions{Force: true}) // its containers are gone by then
	})
	return c, image
}

// containers returns the names of a pool's containers, sorted.
func containers(t *testing.T, c *client.Client, pool string) (names []string) {
	t.Helper()
	found, err := c.ContainerList(t.Context(), client.ContainerListOptions{All: true, Filters: make(client.Filters).Add("label", "flame.pool="+pool)})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found.Items {
		names = append(names, strings.TrimPrefix(f.Names[0], "/"))
	}
	slices.Sort(names)
	return names
}

// orphans starts a parent with two containers and kills it while they cannot notice. It returns their names.
func orphans(t *testing.T, c *client.Client, image string) []string {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), parentVariable+"=docker gc-dead "+image)
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 200)
	n, _ := out.Read(line)
	left := containers(t, c, "gc-dead")
	for _, name := range left {
		if _, err := c.ContainerPause(t.Context(), name, client.ContainerPauseOptions{}); err != nil {
			t.Error(err)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	if string(line[:n]) != "open <nil>\n" || len(left) != 2 {
		t.Fatalf("it says %q, and has %q", line[:n], left)
	}
	return left
}

func TestB11_GCRemovesContainersOfAParentThatIsGoneAndNoOthers(t *testing.T) {
	c, image := engine(t)
	// Given a parent that lives, and one that has died while its runners could not notice,
	p, err := openPool(t.Context(), "gc-alive", image)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	left := orphans(t, c, image)
	// when nothing is said of removing,
	out, notes, code := ask(t, "gc", "docker")
	names := strings.Fields(out)
	slices.Sort(names)
	// then the dead one's are listed, and are there.
	if code != done || !slices.Equal(names, left) || notes != "2 containers whose parent is gone; nothing was removed: flame gc docker -yes does\n" {
		t.Errorf("%d, %q, %q", code, out, notes)
	}
	if now := containers(t, c, "gc-dead"); !slices.Equal(now, left) {
		t.Errorf("left of %q: %q", left, now)
	}
	// With -yes they are removed, and those of the other live.
	again, notes, code := ask(t, "gc", "docker", "-yes", "-host", c.DaemonHost())
	if code != done || again != out || notes != "removed 2 containers whose parent is gone\n" {
		t.Errorf("%d, %q, %q", code, again, notes)
	}
	for start := time.Now(); len(containers(t, c, "gc-dead")) > 0; {
		if time.Since(start) > 20*time.Second {
			t.Fatal("they are not removed")
		}
	}
	if err := runners.Run(t.Context(), p, func(context.Context) error { return nil }); err != nil || len(containers(t, c, "gc-alive")) != 2 || p.Stats().Gone > 0 {
		t.Errorf("%v, %+v", err, p.Stats())
	}
	if out, notes, code := ask(t, "gc", "docker"); code != done || out != "" || notes != "no containers of a parent that is gone\n" {
		t.Errorf("then: %d, %q, %q", code, out, notes)
	}
}

func TestGCOfAnEngineThatIsNotThereSaysWhatToDo(t *testing.T) {
	_, notes, code := ask(t, "gc", "docker", "-host", "unix:///nowhere/docker.sock")
	if code != failed || !strings.Contains(notes, "unix:///nowhere/docker.sock") || !strings.Contains(notes, "start it, or name another with -host") {
		t.Errorf("%d, %q", code, notes)
	}
}

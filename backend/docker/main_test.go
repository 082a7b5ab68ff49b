//go:build linux

package docker_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend/docker"
)

// parentVariable makes this test binary a parent in a process of its own.
const parentVariable = "FLAME_TEST_PARENT"

func TestMain(m *testing.M) {
	if os.Getenv(orphanVariable) != "" {
		orphanProgram()
		return
	}
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

// image makes an image that holds this very executable.
var image = sync.OnceValues(func() (*made, error) {
	c, err := client.New(client.FromEnv)
	if err != nil {
		return nil, err
	}
	return makeImage(c)
})

// makeImage makes it on an engine. The libraries that the executable needs, if it is not static, are mounted.
func makeImage(c *client.Client) (*made, error) {
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
}

// options are for runners of the test image. Without an engine the test is skipped.
func options(t *testing.T) docker.Options {
	t.Helper()
	m, err := image()
	if err != nil {
		t.Skipf("skipped: no Docker Engine can be reached (DOCKER_HOST says which; scripts/docker starts one, as root): %v", err)
	}
	return m.options(t)
}

// options are for runners of this image.
func (m *made) options(t *testing.T) docker.Options {
	t.Helper()
	o := docker.Options{Client: m.client, Image: m.name, Path: "/app", Env: []string{"FLAME_*", "GORACE"}, Output: t.Output()}
	for _, dir := range []string{"/lib", "/lib64", "/usr/lib"} {
		if _, err := os.Stat(dir); err == nil {
			o.Mounts = append(o.Mounts, mount.Mount{Type: mount.TypeBind, Source: dir, Target: dir, ReadOnly: true})
		}
	}
	return o
}

// open opens a pool named docker-test, which is closed after the test.
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

// writer is a function that writes.
type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

// passes sees to it that the pool goes on.
func passes(t *testing.T, p *flame.Pool) {
	t.Helper()
	if err := flame.Run(t.Context(), p, func(context.Context) error { return nil }); err != nil {
		t.Errorf("the next call: %v", err)
	}
}

// lostIn returns the error of a call that was lost with its runner.
func lostIn(t *testing.T, err error) *flame.RunnerLostError {
	t.Helper()
	var lost *flame.RunnerLostError
	if !errors.As(err, &lost) {
		t.Fatalf("got %v", err)
	}
	return lost
}

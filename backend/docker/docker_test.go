//go:build linux

package docker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/backend/backendtest"
	"github.com/fleetinglambda/flame/backend/docker"
)

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
		{"no such image", func(o *docker.Options) { o.Image = "no-such-image:1" }, []string{"no-such-image:1", "No such image", "pull or build it first"}},
		{"no such network", func(o *docker.Options) { o.Network = "nowhere" }, []string{"network nowhere"}},
		{"no such file", func(o *docker.Options) { o.Path = "/elsewhere" }, []string{"/elsewhere", "no such file", "CGO_ENABLED=0, and at Options.Path"}},
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

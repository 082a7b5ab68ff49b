// Package docker runs runners as containers of a Docker Engine.
//
// A program that runs in a container itself needs no settings: its runners are containers of the same image on the same
// network. One that does not says at least which image has the very executable that is running; parent and runner
// prove to each other that they are the same build before anything else is said.
package docker

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"

	"github.com/fleetinglambda/flame/backend"
)

// Options are the settings of New. The zero value is for a program in a container.
type Options struct {
	// Client talks to the engine; nil: as the environment says (DOCKER_HOST and so on).
	Client *client.Client
	// Image holds the executable that is running. Default: the image, by its id, of the container that this process is in.
	Image string
	// Path is where the executable is in the image. Default: where it is in this process's own container; of a process in no
	// container, the entrypoint of the image.
	Path string
	// Network is the name of the network that runners are on. Default: the first one, by name, of this process's own
	// container; of a process in no container, bridge.
	Network string
	// Listen is where the parent listens for runners, and Dial what they dial, "host:port". No port means any; the port to
	// dial is then the one that is listened at. Default: the parent's address on Network; of a process in no container,
	// the gateway of that network, which is this host, and towards an engine elsewhere the address that faces it.
	Listen, Dial string
	// Env names the variables of the parent's environment that runners get; a name that ends with * is a prefix. Default: none.
	Env []string
	// CPUs is how many a runner may use, 1.5 for example, Memory how many bytes, and PIDs how many processes and threads.
	// 0: as many as there are.
	CPUs   float64
	Memory int64
	PIDs   int64
	// GPUs is how many GPUs a runner gets; -1: all.
	GPUs int
	// Mounts are what is mounted in a runner.
	Mounts []mount.Mount
	// Labels mark the containers, beside those with the prefix flame.
	Labels map[string]string
	// Container, if not nil, has the last word on what a container is created with.
	Container func(*container.Config, *container.HostConfig)
	// Output gets what runners write to stdout and stderr, as it is, instead of the pool's logger. Writes come from one
	// goroutine per runner, so it must allow several at once, as an *os.File does.
	Output io.Writer
}

// New returns the backend. What is wrong with its settings, or with the engine, is the error of the first Boot. It is a
// [backend.Networked] and a [backend.Reaper], too.
func New(o Options) backend.Backend {
	return &engine{Options: o}
}

type engine struct {
	Options

	mu   sync.Mutex // held while home is found, and the client made
	home *home      // nil until it has been

	left sync.Map // names of containers that may have been made and could not be removed
}

// undo is how long what did not come up may take to be removed.
const undo = 10 * time.Second

// Boot creates and starts a container. Its name is the runner's id.
func (e *engine) Boot(ctx context.Context, spec backend.Spec) (backend.Instance, error) {
	i, err := e.boot(ctx, spec)
	if err != nil {
		if e.Client != nil {
			e.left.Store(spec.ID, nil) // its name: the answer with its id may have been lost
			e.removeLeft(ctx)
		}
		return nil, fmt.Errorf("docker: %w", err)
	}
	e.removeLeft(ctx)
	return i, nil
}

// removeLeft removes what boots that failed have left. What cannot be removed, because the engine is away, is the next
// one's to remove, or Reap's.
func (e *engine) removeLeft(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undo)
	defer cancel()
	e.left.Range(func(name, _ any) bool {
		_, err := e.Client.ContainerRemove(ctx, name.(string), client.ContainerRemoveOptions{Force: true})
		if err == nil || isNotFound(err) { // it may never have been
			e.left.Delete(name)
		}
		return true
	})
}

func (e *engine) boot(ctx context.Context, spec backend.Spec) (backend.Instance, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	h, err := e.find(ctx)
	if err != nil {
		return nil, err
	}
	config, host := e.container(h, spec)
	if e.Container != nil {
		e.Container(config, host)
	}
	made, err := e.Client.ContainerCreate(ctx, client.ContainerCreateOptions{Name: spec.ID, Config: config, HostConfig: host})
	if err != nil {
		return nil, fmt.Errorf("create a container of image %s: %w%s", config.Image, err, e.wayOut(err))
	}
	output := e.Output
	if output == nil {
		output = spec.Output
	}
	if output == nil {
		output = os.Stderr
	}
	i := newInstance(e.Client, made.ID, output)
	if err := i.start(ctx); err != nil {
		return nil, fmt.Errorf("start container %s: %w%s", i.ID(), err, e.wayOut(err))
	}
	return i, nil
}

// wayOut adds what to do where the engine's own words leave that open.
func (e *engine) wayOut(err error) string {
	switch said := err.Error(); {
	case isNotFound(err) && strings.Contains(said, "No such image"):
		return " (pull or build it first: a boot pulls nothing)"
	case e.GPUs != 0 && strings.Contains(said, "capabilities: [[gpu]]"):
		return " (Options.GPUs needs a GPU on the engine's host, and the NVIDIA container toolkit)"
	case strings.Contains(said, "container process") && strings.Contains(said, "no such file or directory"):
		return " (is the executable static, with CGO_ENABLED=0, and at Options.Path in the image?)"
	}
	return ""
}

// container says what to create.
func (e *engine) container(h *home, spec backend.Spec) (*container.Config, *container.HostConfig) {
	config := &container.Config{
		Image: h.image, Env: spec.Allowed(e.Env...), Cmd: spec.Args[1:], WorkingDir: spec.Dir,
		AttachStdout: true, AttachStderr: true, Labels: map[string]string{homeLabel: h.identity},
	}
	if h.path != "" {
		config.Entrypoint = []string{h.path}
	}
	maps.Copy(config.Labels, spec.Labels)
	maps.Copy(config.Labels, e.Labels)
	host := &container.HostConfig{AutoRemove: true, NetworkMode: container.NetworkMode(h.network), Mounts: e.Mounts}
	host.NanoCPUs, host.Memory = int64(e.CPUs*1e9), e.Memory
	if e.PIDs > 0 {
		host.PidsLimit = &e.PIDs
	}
	if e.GPUs != 0 {
		host.DeviceRequests = []container.DeviceRequest{{Count: e.GPUs, Capabilities: [][]string{{"gpu"}}}}
	}
	return config, host
}

// Address is where runners reach this process.
func (e *engine) Address(ctx context.Context) (listen, dial string, err error) {
	h, err := e.find(ctx)
	if err != nil {
		return "", "", fmt.Errorf("docker: %w", err)
	}
	return h.listen, h.dial, nil
}

var (
	_ backend.Networked = (*engine)(nil)
	_ backend.Reaper    = (*engine)(nil)
)

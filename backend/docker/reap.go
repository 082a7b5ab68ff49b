package docker

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/fleetinglambda/flame/backend"
	"github.com/moby/moby/client"
)

// homeLabel is on every container and says where its parent is.
const homeLabel = "flame.home"

// The two kinds of homes: a container, by its id; or a process of a host that was not restarted, by its pid, when it began
// and in which of the host's pid namespaces.
const (
	inContainer = "container/"
	inProcess   = "process/"
)

// onHost is the identity of this process.
func onHost() (string, error) {
	process, err := backend.ThisProcess()
	return inProcess + process, err
}

// Reap removes the containers of parents that are gone: containers that the engine does not have or that do not run, and
// processes of this very host. It returns their names. It needs no settings but the engine.
func (e *engine) Reap(ctx context.Context, dryRun bool) ([]string, error) {
	if err := e.connect(); err != nil {
		return nil, fmt.Errorf("docker: %w", err)
	}
	if !dryRun {
		e.removeLeft(ctx)
	}
	found, err := e.Client.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: make(client.Filters).Add("label", homeLabel)})
	if err != nil {
		return nil, fmt.Errorf("docker: list containers: %w", err)
	}
	var reaped []string
	var failed []error
	for _, c := range found.Items {
		gone, err := e.isGone(ctx, c.Labels[homeLabel])
		if err == nil && gone && !dryRun {
			_, err = e.Client.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true})
			if isNotFound(err) {
				continue // it went by itself
			}
		}
		switch {
		case err != nil:
			failed = append(failed, fmt.Errorf("docker: container %s: %w", c.ID[:12], err))
		case gone:
			reaped = append(reaped, strings.TrimPrefix(strings.Join(c.Names, " "), "/"))
		}
	}
	return reaped, errors.Join(failed...)
}

// isGone says whether a parent is certainly gone. Of a place that it cannot see into it says no.
func (e *engine) isGone(ctx context.Context, home string) (bool, error) {
	if id, ok := strings.CutPrefix(home, inContainer); ok {
		c, err := e.Client.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
		if isNotFound(err) {
			return true, nil
		}
		return err == nil && !c.Container.State.Running && !c.Container.State.Restarting && !c.Container.State.Paused, err
	}
	_, ended, err := backend.Judge(strings.TrimPrefix(home, inProcess))
	return ended, err
}

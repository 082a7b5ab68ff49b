package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

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
	pid := os.Getpid()
	place, err := placeOf()
	if err != nil {
		return "", err
	}
	began, err := beginOf(pid)
	if err != nil {
		return "", fmt.Errorf("say which process this is: %w", err)
	}
	return fmt.Sprintf("%s%s/%d/%s", inProcess, place, pid, began), nil
}

// placeOf names this host, since it was started, and the pid namespace of this process.
func placeOf() (string, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("say which host this is: %w", err)
	}
	space, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return "", fmt.Errorf("say which process this is: %w", err)
	}
	return strings.TrimSpace(string(boot)) + "/" + strings.Trim(space, "pid:[]"), nil
}

// beginOf returns when a process of this namespace began, in ticks since the host was started.
func beginOf(pid int) (string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // what is before it may be anything
	if len(fields) < 20 {
		return "", errors.New("its stat is cut off")
	}
	return string(fields[19]), nil
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
	place, err := placeOf()
	if err != nil {
		return false, err
	}
	process, ok := strings.CutPrefix(home, inProcess+place+"/")
	if !ok {
		return false, nil
	}
	var pid int
	var began string
	if n, err := fmt.Sscanf(strings.Replace(process, "/", " ", 1), "%d %s", &pid, &began); n != 2 || err != nil {
		return false, nil
	}
	now, err := beginOf(pid)
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	return err == nil && now != began, err
}

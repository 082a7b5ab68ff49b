//go:build linux

package docker_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend/docker"
)

// limits are what a process's own control groups say, of either version.
type limits struct{ CPU, Memory, PIDs string }

func ownLimits() (limits, error) {
	first := func(files ...string) (string, error) {
		for _, f := range files {
			if b, err := os.ReadFile("/sys/fs/cgroup/" + f); err == nil {
				return strings.TrimSpace(string(b)), nil
			}
		}
		return "", fmt.Errorf("none of %q is in /sys/fs/cgroup", files)
	}
	cpu, err1 := first("cpu.max", "cpu/cpu.cfs_quota_us")
	memory, err2 := first("memory.max", "memory/memory.limit_in_bytes")
	pids, err3 := first("pids.max", "pids/pids.max")
	return limits{cpu, memory, pids}, errors.Join(err1, err2, err3)
}

func TestF15_LimitsHoldInsideAContainer(t *testing.T) {
	o := options(t)
	o.CPUs, o.Memory, o.PIDs = 0.5, 256<<20, 200
	p := open(t, o, flame.Config{})
	got, err := flame.Call(t.Context(), p, func(context.Context) (limits, error) { return ownLimits() })
	if err != nil {
		t.Fatal(err)
	}
	if cpu, _, _ := strings.Cut(got.CPU, " "); cpu != "50000" || got.Memory != fmt.Sprint(256<<20) || got.PIDs != "200" {
		t.Errorf("got %+v", got)
	}
}

func TestF15_MountsAreThereAndReadOnlyOnesAreNotWritten(t *testing.T) {
	o := options(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "given"), []byte("by the parent"), 0o644); err != nil {
		t.Fatal(err)
	}
	o.Mounts = append(
		o.Mounts,
		mount.Mount{Type: mount.TypeBind, Source: dir, Target: "/read", ReadOnly: true},
		mount.Mount{Type: mount.TypeBind, Source: dir, Target: "/write"},
		mount.Mount{Type: mount.TypeTmpfs, Target: "/scratch", TmpfsOptions: &mount.TmpfsOptions{SizeBytes: 1 << 20}},
	)
	p := open(t, o, flame.Config{})
	given, err := flame.Call(t.Context(), p, func(context.Context) (string, error) {
		if err := os.WriteFile("/read/refused", nil, 0o644); err == nil {
			return "", errors.New("a read-only mount was written to")
		}
		if err := os.WriteFile("/scratch/more", make([]byte, 2<<20), 0o644); err == nil {
			return "", errors.New("2 MiB fit into 1 MiB")
		}
		given, err := os.ReadFile("/read/given")
		return string(given), errors.Join(err, os.WriteFile("/write/returned", given, 0o644))
	})
	if err != nil || given != "by the parent" {
		t.Errorf("%q, %v", given, err)
	}
	if back, err := os.ReadFile(filepath.Join(dir, "returned")); err != nil || string(back) != given {
		t.Errorf("%q, %v", back, err)
	}
}

func TestF15_GPUsAreAskedForAndAnEngineWithoutSaysSo(t *testing.T) {
	for n, want := range map[int]string{1: "{Driver: Count:1 DeviceIDs:[] Capabilities:[[gpu]] Options:map[]}", -1: "{Driver: Count:-1 DeviceIDs:[] Capabilities:[[gpu]] Options:map[]}"} {
		o := options(t)
		o.GPUs = n
		var asked []container.DeviceRequest
		o.Container = func(_ *container.Config, h *container.HostConfig) { asked = h.DeviceRequests }
		p, err := flame.Open(t.Context(), flame.Config{Name: "docker-gpu", Min: 1, Backend: docker.New(o)})
		if len(asked) != 1 || fmt.Sprintf("%+v", asked[0]) != want {
			t.Errorf("asked for %+v", asked)
		}
		if err == nil { // there is one
			p.Close()
			continue
		}
		var boot *flame.BootError
		if !errors.As(err, &boot) || !strings.Contains(err.Error(), "with capabilities: [[gpu]]") || !strings.Contains(err.Error(), "Options.GPUs") {
			t.Errorf("got %v", err)
		}
	}
	eventually(t, "nothing is left", func() bool { return len(containers(t, "docker-gpu")) == 0 })
}

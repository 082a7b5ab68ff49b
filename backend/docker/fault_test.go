//go:build linux

package docker_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend/docker"
)

// silence is how long a runner or a parent may be gone without the other noticing, and what a busy machine adds to it.
const (
	silence = 15 * time.Second
	slack   = 5 * time.Second
)

// onNetwork makes a network for one test, with a bridge of this name. The engine has to be on this host.
func onNetwork(t *testing.T, o *docker.Options, bridge string) {
	t.Helper()
	if !strings.HasPrefix(o.Client.DaemonHost(), "unix://") {
		t.Skipf("skipped: the engine is reached at %s, and its network has to be on this host: set DOCKER_HOST to unix://…", o.Client.DaemonHost())
	}
	made, err := o.Client.NetworkCreate(t.Context(), bridge, client.NetworkCreateOptions{
		Driver: "bridge", Options: map[string]string{"com.docker.network.bridge.name": bridge},
	})
	if err != nil {
		t.Fatal(err)
	}
	o.Network = bridge
	t.Cleanup(func() {
		for start := time.Now(); ; { // until the containers on it are removed
			_, err := o.Client.NetworkRemove(context.Background(), made.ID, client.NetworkRemoveOptions{})
			if err == nil {
				return
			}
			if time.Since(start) > 10*time.Second {
				t.Error(err)
				return
			}
			wait := time.NewTimer(50 * time.Millisecond)
			<-wait.C
		}
	})
}

// firewall has the kernel drop, or reject, what comes in from a bridge.
func firewall(t *testing.T, bridge, verdict string) {
	t.Helper()
	rule := []string{"INPUT", "-i", bridge, "-p", "tcp", "-j", verdict}
	if out, err := exec.Command("iptables", append([]string{"-w", "-I"}, rule...)...).CombinedOutput(); err != nil {
		t.Skipf("skipped: no rule can be added to the firewall (it needs root, and iptables): %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("iptables", append([]string{"-w", "-D"}, rule...)...).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
}

func TestF11_AFirewallInBetweenIsToldWithAWayOut(t *testing.T) {
	for verdict, says := range map[string]string{"DROP": "i/o timeout", "REJECT": "connection refused"} {
		t.Run(verdict, func(t *testing.T) {
			o := options(t)
			onNetwork(t, &o, "flame-wall")
			firewall(t, "flame-wall", verdict)
			_, err := flame.Open(t.Context(), flame.Config{Name: "docker-wall", Min: 1, BootTimeout: 7 * time.Second, Backend: docker.New(o)})
			var boot *flame.BootError
			if !errors.As(err, &boot) {
				t.Fatalf("got %v", err)
			}
			for _, want := range []string{"it was not ready in 7s", "dial the parent at 172.", says, "a firewall in between", "Listen and Dial"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in: %v", want, err)
				}
			}
			eventually(t, "nothing is left", func() bool { return len(containers(t, "docker-wall")) == 0 })
		})
	}
}

// cutOff takes a pool's containers off their network.
func cutOff(t *testing.T, c *client.Client, pool, from string) {
	t.Helper()
	for _, name := range containers(t, pool) {
		if _, err := c.NetworkDisconnect(t.Context(), from, client.NetworkDisconnectOptions{Container: strings.TrimPrefix(name, "/"), Force: true}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestB04_ARunnerThatIsCutOffIsLostAndItsContainerStopped(t *testing.T) {
	o := options(t)
	onNetwork(t, &o, "flame-cut")
	p := open(t, o, flame.Config{Min: 1})
	task := flame.Start(t.Context(), p, func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, nil })
	eventually(t, "it runs", func() bool { return p.Stats().Started > 0 })
	before := containers(t, "docker-test")
	start := time.Now()
	cutOff(t, o.Client, "docker-test", "flame-cut")
	_, err := task.Wait(t.Context())
	if lost := lostIn(t, err); !lost.Started || time.Since(start) > silence+slack {
		t.Errorf("after %v: %v", time.Since(start), err)
	}
	eventually(t, "its container is removed", func() bool {
		return !strings.Contains(fmt.Sprint(containers(t, "docker-test")), before[0])
	})
	passes(t, p)
}

func TestB11_RunnersThatAreCutOffFromADyingParentLeave(t *testing.T) {
	o := options(t)
	onNetwork(t, &o, "flame-cut")
	cmd := beginParent(t, "docker-cut", networkVariable+"=flame-cut")
	cutOff(t, o.Client, "docker-cut", "flame-cut")
	if err := cmd.Process.Kill(); err != nil { // no packet says so to them, and nobody is left to stop them
		t.Fatal(err)
	}
	start := time.Now()
	eventually(t, "they are gone", func() bool { return len(containers(t, "docker-cut")) == 0 })
	if took := time.Since(start); took > silence+slack {
		t.Errorf("it took %v", took)
	}
}

func TestN14_AContainerThatIsRemovedUnderACallIsLost(t *testing.T) {
	o := options(t)
	p := open(t, o, flame.Config{Min: 1})
	task := flame.Start(t.Context(), p, func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, nil })
	eventually(t, "it runs", func() bool { return p.Stats().Started > 0 })
	name := strings.TrimPrefix(containers(t, "docker-test")[0], "/")
	if _, err := o.Client.ContainerRemove(t.Context(), name, client.ContainerRemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	_, err := task.Wait(t.Context())
	if lost := lostIn(t, err); !lost.Started || lost.OOM {
		t.Errorf("got %v", err)
	}
	passes(t, p)
}

func TestB11_BlueAndGreenRemoveOnlyTheirOwn(t *testing.T) {
	o := options(t)
	// Given two parents of one program, one in a container and one beside it, and a third,
	blue, green := beginInside(t, "docker-blue"), beginParent(t, "docker-green")
	p := open(t, o, flame.Config{Min: 1})
	count := func() string {
		return fmt.Sprint(len(containers(t, "docker-blue")), len(containers(t, "docker-green")), len(containers(t, "docker-test")))
	}
	look := func(want int, when string) {
		t.Helper()
		if gone, err := reaper(o).Reap(t.Context(), false); len(gone) != want || err != nil {
			t.Errorf("%s, it removes %q, %v", when, gone, err)
		}
	}
	look(0, "all alive")
	// when they end one after another while their runners cannot notice,
	for _, pool := range []string{"docker-blue", "docker-green"} {
		for _, name := range containers(t, pool) {
			if _, err := o.Client.ContainerPause(t.Context(), name, client.ContainerPauseOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := o.Client.ContainerKill(t.Context(), blue, client.ContainerKillOptions{Signal: "SIGKILL"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is gone", func() bool { return !exists(t, o.Client, blue) })
	look(2, "the first has ended")
	eventually(t, "its runners are removed", func() bool { return count() == "0 2 1" })
	if err := green.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = green.Wait() // it was killed
	// then each time only the runners of the one that has ended go.
	look(2, "the second has ended")
	eventually(t, "they are removed", func() bool { return count() == "0 0 1" })
	passes(t, p)
}

// exists says whether there is a container.
func exists(t *testing.T, c *client.Client, id string) bool {
	t.Helper()
	_, err := c.ContainerInspect(t.Context(), id, client.ContainerInspectOptions{})
	if err != nil && !errdefs.IsNotFound(err) {
		t.Fatal(err)
	}
	return err == nil
}

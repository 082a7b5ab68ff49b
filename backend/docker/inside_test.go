//go:build linux

package docker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/fleetinglambda/flame"
)

// orphanVariable makes this test binary one of two processes: a parent that leaves its child behind, or that child.
const orphanVariable = "FLAME_TEST_ORPHAN"

// orphanProgram prints the pid of the child that it leaves behind. The child ends as soon as its parent has: then its stdin
// does.
func orphanProgram() {
	if os.Getenv(orphanVariable) == "child" {
		_, _ = io.Copy(io.Discard, os.Stdin)
		return
	}
	child := exec.Command("/proc/self/exe")
	child.Env = append(os.Environ(), orphanVariable+"=child")
	if _, err := child.StdinPipe(); err != nil {
		panic(err)
	}
	if err := child.Start(); err != nil {
		panic(err)
	}
	fmt.Print(child.Process.Pid)
}

func TestN20_ARunnerThatIsProcess1OfItsContainerCollectsOrphans(t *testing.T) {
	p := open(t, options(t), flame.Config{})
	err := flame.Run(t.Context(), p, func(ctx context.Context) error {
		if os.Getpid() != 1 {
			return fmt.Errorf("it is process %d", os.Getpid())
		}
		leave := exec.CommandContext(ctx, "/proc/self/exe")
		leave.Env = append(os.Environ(), orphanVariable+"=parent")
		orphan, err := leave.Output()
		if err != nil {
			return err
		}
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for last := ""; ; {
			stat, err := os.ReadFile("/proc/" + string(orphan) + "/stat")
			if errors.Is(err, os.ErrNotExist) {
				return nil
			}
			last = string(stat)
			select {
			case <-tick.C:
			case <-ctx.Done():
				return errors.New("it is still there: " + last)
			}
		}
	}, flame.Timeout(20*time.Second))
	if err != nil {
		t.Error(err)
	}
}

func TestN20_DockerStopLetsACallFinish(t *testing.T) {
	o := options(t)
	p := open(t, o, flame.Config{Min: 1, Max: 2})
	name := strings.TrimPrefix(containers(t, "docker-test")[0], "/")
	finish := make(chan struct{})
	var finished <-chan struct{} = finish
	task := flame.Start(t.Context(), p, func(context.Context) (string, error) {
		<-finished
		return os.Hostname()
	})
	eventually(t, "it runs", func() bool { return p.Stats().Started > 0 })
	var stop sync.WaitGroup
	stop.Go(func() {
		patience := 60
		if _, err := o.Client.ContainerStop(context.Background(), name, client.ContainerStopOptions{Timeout: &patience}); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "it says that it leaves", func() bool { return p.Stats().Draining == 1 })
	passes(t, p) // on another
	close(finish)
	if host, err := task.Wait(t.Context()); err != nil || host == "" {
		t.Errorf("%q, %v", host, err)
	}
	stop.Wait()
	if p.Stats().Lost != 0 {
		t.Errorf("%+v", p.Stats())
	}
	eventually(t, "it is gone", func() bool { return p.Stats().Gone == 1 })
}

func TestN04_PerCallEachCallHasAProcessInsideTheContainer(t *testing.T) {
	o := options(t)
	o.Memory = 256 << 20
	p := open(t, o, flame.Config{Max: 1, MaxConcurrency: 2, Isolation: flame.PerCall, KillGrace: 500 * time.Millisecond})
	// Given a call that goes on,
	finish := make(chan struct{})
	var finished <-chan struct{} = finish
	beside := flame.Start(t.Context(), p, func(context.Context) (string, error) {
		<-finished
		host, err := os.Hostname()
		return fmt.Sprint(host, " ", os.Getpid() > 1, " ", os.Getppid()), err
	})
	eventually(t, "it runs", func() bool { return p.Stats().Started > 0 })
	// when others beside it die, each in its own way,
	err := flame.Run(t.Context(), p, func(context.Context) error { os.Exit(3); return nil })
	if lost := lostIn(t, err); lost.ExitCode != 3 || !lost.Started {
		t.Errorf("exit: %v", err)
	}
	err = flame.Run(t.Context(), p, func(context.Context) error { return syscall.Kill(os.Getpid(), syscall.SIGKILL) })
	if lost := lostIn(t, err); lost.Signal != syscall.SIGKILL || lost.OOM {
		t.Errorf("kill: %v", err)
	}
	err = flame.Run(t.Context(), p, func(context.Context) error { select {} }, flame.Timeout(time.Second))
	if late := new(flame.TimeoutError); !errors.As(err, &late) {
		t.Errorf("hang: %v", err)
	}
	// then it is in the same container as before, in a process of its own.
	passes(t, p)
	close(finish)
	who, err := beside.Wait(t.Context())
	names := containers(t, "docker-test")
	if err != nil || len(names) != 1 || !strings.HasSuffix(who, " true 1") || p.Stats().Boots != 1 {
		t.Errorf("%q of %q, %v, after %d boots", who, names, err, p.Stats().Boots)
	}
	// And when the container's memory runs out, it is the call that goes.
	err = flame.Run(t.Context(), p, func(context.Context) error { return fill() })
	if lost := lostIn(t, err); !lost.OOM {
		t.Errorf("memory: %v", err)
	}
	passes(t, p)
	if p.Stats().Boots != 1 {
		t.Errorf("the container went, too: %+v", p.Stats())
	}
}

// fill takes more memory than there is.
func fill() error {
	var all [][]byte
	for len(all) < 1<<16 {
		page := make([]byte, 1<<20)
		for i := 0; i < len(page); i += 512 {
			page[i] = 1
		}
		all = append(all, page)
	}
	return fmt.Errorf("it got %d MiB", len(all))
}

//go:build linux

package kubernetes_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/fleetinglambda/flame"
)

// firewall adds a rule to this host's, until the test is over.
func firewall(t *testing.T, chain string, rule ...string) {
	t.Helper()
	iptables, err := exec.LookPath("iptables")
	if os.Getuid() != 0 || err != nil {
		t.Skip("skipped: only root can add a rule to a firewall, with iptables")
	}
	change := func(how string) {
		if out, err := exec.Command(iptables, append([]string{"-w", how, chain}, rule...)...).CombinedOutput(); err != nil {
			t.Fatalf("iptables %s %s %v: %v: %s", how, chain, rule, err, out)
		}
	}
	change("-I")
	t.Cleanup(func() { change("-D") })
}

func TestF15_ADialBackThatAFirewallDropsIsToldAsSuch(t *testing.T) {
	s := cluster(t)
	firewall(t, "INPUT", "-p", "tcp", "--dport", "7341", "-j", "DROP")
	o := s.options(t)
	o.Listen, o.Dial = ":7341", s.dial+":7341"
	p := open(t, o, flame.Config{BootTimeout: 8 * time.Second})
	err := flame.Run(t.Context(), p, func(context.Context) error { return nil }, flame.Timeout(12*time.Second))
	says(t, err, "it was not ready in 8s", "dial the parent at "+s.dial+":7341")
	p.Close()
	s.nothingIsLeft(t, "kubernetes-test")
}

func TestN14_APodThatIsCutOffIsReplaced(t *testing.T) {
	s := cluster(t)
	p := open(t, s.options(t), flame.Config{MaxConcurrency: 1, Max: 2})
	// Given a runner at work,
	at := make(chan string, 2)
	var told chan<- string = at
	call := flame.Start(t.Context(), p, func(ctx context.Context) (string, error) {
		name, err := os.Hostname()
		told <- name
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Second): // the cut comes before
		}
		return name, err
	}, flame.Retry(1), flame.Timeout(2*time.Minute))
	first := <-at
	// when nothing reaches its pod any more,
	var address string
	eventually(t, "the API server knows its address", func() bool {
		address = s.get(t, first).Status.PodIP
		return address != ""
	})
	firewall(t, "INPUT", "-s", address, "-j", "DROP")
	firewall(t, "OUTPUT", "-d", address, "-j", "DROP")
	start := time.Now()
	// then another does its work,
	got, err := call.Wait(t.Context())
	if err != nil || got == first {
		t.Errorf("%s was cut off, %s answered: %v", first, got, err)
	}
	t.Logf("answered %s after the cut", time.Since(start).Round(100*time.Millisecond))
	// and its pod is removed, since the API server can still be told.
	eventually(t, "the pod that was cut off is gone", func() bool {
		return !slices.ContainsFunc(s.pods(t, "kubernetes-test"), func(p corev1.Pod) bool { return p.Name == first })
	})
}

func TestB11_CallsGoOnWhileTheAPIServerRestarts(t *testing.T) {
	s := cluster(t)
	restart := os.Getenv("FLAME_TEST_RESTART")
	if restart == "" {
		t.Skip("skipped: FLAME_TEST_RESTART names no command that restarts the API server; scripts/kubernetes sets it")
	}
	p := open(t, s.options(t), flame.Config{Max: 2, MaxConcurrency: 1})
	at := make(chan string)
	var told chan<- string = at
	gate := make(chan int)
	var opened <-chan int = gate
	call := flame.Start(t.Context(), p, func(ctx context.Context) (string, error) {
		told <- "at work"
		select {
		case <-opened:
		case <-ctx.Done():
		}
		return "done", ctx.Err()
	})
	<-at
	if out, err := exec.Command(restart).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// A call that needs a pod while there is no API server gets one as soon as there is;
	second, err := flame.Call(t.Context(), p, func(context.Context) (string, error) { return "booted", nil })
	if err != nil || second != "booted" {
		t.Errorf("got %q, %v", second, err)
	}
	// one that was running has not noticed.
	close(gate)
	if got, err := call.Wait(t.Context()); err != nil || got != "done" {
		t.Errorf("got %q, %v", got, err)
	}
	p.Close()
	s.nothingIsLeft(t, "kubernetes-test")
}

func TestB11_PodsGoWhenTheProcessInTheirParentsPodIsKilled(t *testing.T) {
	s := cluster(t)
	s.inPod(t, "killed", map[string]string{parentVariable: "kubernetes-killed"})
	eventually(t, "its pool is open", func() bool { return strings.Contains(s.logs("killed"), "open <nil>") })
	var first []string
	for _, p := range s.pods(t, "kubernetes-killed") {
		first = append(first, p.Name)
	}
	if len(first) != 2 {
		t.Fatalf("its runners are %q", first)
	}
	if err := syscall.Kill(processOf(t, s.get(t, "killed")), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	eventually(t, "the runners of the first process are gone", func() bool {
		return !slices.ContainsFunc(s.pods(t, "kubernetes-killed"), func(p corev1.Pod) bool { return slices.Contains(first, p.Name) })
	})
	t.Logf("they were gone after %s", time.Since(start).Round(100*time.Millisecond))
}

// processOf returns the process of this host that runs a pod's program.
func processOf(t *testing.T, pod *corev1.Pod) int {
	t.Helper()
	groups, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range groups {
		text, err := os.ReadFile(g)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) || !strings.Contains(string(text), string(pod.UID)) {
			continue
		}
		line, err := os.ReadFile(filepath.Join(filepath.Dir(g), "cmdline"))
		if err == nil && strings.HasPrefix(string(line), "/app\x00") {
			n, err := strconv.Atoi(filepath.Base(filepath.Dir(g)))
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Skipf("skipped: no process of this host is in a group of pod %s", pod.Name)
	return 0
}

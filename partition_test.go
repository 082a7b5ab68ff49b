//go:build linux

package flame_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/backend/process"
)

// island is a network of its own for a runner, with one cable to the parent's, whose packets can be dropped.
type island struct {
	backend.Backend
	name, host, there string
	ip, iptables      string
}

// newIsland makes the n-th one of this process.
func newIsland(t *testing.T, n int) *island {
	t.Helper()
	ip, err := exec.LookPath("ip")
	iptables, failed := exec.LookPath("iptables")
	if errors.Join(err, failed) != nil || os.Getuid() != 0 {
		t.Skip("needs root, ip and iptables (apt-get install iproute2 iptables), to make a network for a runner")
	}
	net := fmt.Sprintf("198.18.%d.", os.Getpid()%256)
	i := &island{
		Backend: process.New(process.Options{Output: t.Output()}), ip: ip, iptables: iptables,
		name: fmt.Sprintf("flame-%d-%d", os.Getpid(), n), host: fmt.Sprint(net, 4*n+1), there: fmt.Sprint(net, 4*n+2),
	}
	cable := fmt.Sprintf("fl%d.%d", os.Getpid()%100_000, n)
	t.Cleanup(func() {
		_ = exec.Command(ip, "link", "del", cable).Run() // it may not have come to be
		_ = exec.Command(ip, "netns", "del", i.name).Run()
	})
	for _, step := range [][]string{
		{"netns", "add", i.name},
		{"link", "add", cable, "type", "veth", "peer", "name", "cable", "netns", i.name},
		{"addr", "add", i.host + "/30", "dev", cable},
		{"link", "set", cable, "up"},
		{"-n", i.name, "addr", "add", i.there + "/30", "dev", "cable"},
		{"-n", i.name, "link", "set", "cable", "up"},
		{"-n", i.name, "link", "set", "lo", "up"},
	} {
		if out, err := exec.Command(ip, step...).CombinedOutput(); err != nil {
			t.Skipf("cannot make a network here: ip %s: %v: %s", strings.Join(step, " "), err, out)
		}
	}
	return i
}

func (i *island) Address(context.Context) (listen, dial string, err error) {
	return i.host + ":0", i.host, nil
}

// Boot boots the runner there.
func (i *island) Boot(ctx context.Context, spec backend.Spec) (backend.Instance, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	spec.Path, spec.Args = i.ip, append([]string{"ip", "netns", "exec", i.name, self}, spec.Args[1:]...)
	return dialling{i.Backend}.Boot(ctx, spec)
}

// drop has packets that come in there, or go out, dropped from now on, or not any more.
func (i *island) drop(t *testing.T, is bool, rules ...string) {
	t.Helper()
	what := "-D"
	if is {
		what = "-A"
	}
	for _, rule := range rules {
		args := append([]string{"netns", "exec", i.name, i.iptables, "-w", what}, strings.Fields(rule+" -j DROP")...)
		out, err := exec.Command(i.ip, args...).CombinedOutput()
		if err != nil {
			t.Errorf("iptables: %v: %s", err, out)
		}
	}
}

func TestN05_APartitionIsSurvivedIfItIsShortAndElseBothAgree(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes as long as silent death does to be found")
	}
	var all sync.WaitGroup
	for n, c := range []struct {
		name  string
		rules []string
		lasts time.Duration // 0: for ever
	}{
		{"nothing passes", []string{"INPUT", "OUTPUT"}, 0},
		{"nothing reaches the runner", []string{"INPUT"}, 0},
		{"nothing reaches the parent", []string{"OUTPUT"}, 0},
		{"nothing passes for 7 s", []string{"INPUT", "OUTPUT"}, 7 * time.Second},
		{"nothing reaches the runner for 7 s", []string{"INPUT"}, 7 * time.Second},
		{"nothing reaches the parent for 7 s", []string{"OUTPUT"}, 7 * time.Second},
		{"what is large does not reach the parent", []string{"OUTPUT -m length --length 1000:"}, 0},
		{"a third does not arrive", []string{"INPUT -m statistic --mode random --probability 0.3"}, 12 * time.Second},
	} {
		all.Go(func() {
			t.Run(c.name, func(t *testing.T) { partition(t, newIsland(t, n), c.rules, c.lasts) })
		})
	}
	all.Wait()
}

func partition(t *testing.T, i *island, rules []string, lasts time.Duration) {
	p, err := flame.Open(t.Context(), flame.Config{Name: "test", Backend: i, Max: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	runner := pid(t, p)
	steps, bulk := make(chan step, 1000), []byte(letters(5000))
	var out chan<- step = steps
	task := flame.Start(t.Context(), p, func(ctx context.Context) (int, error) { // something every 100 ms, for 9 s
		for n := range 90 {
			select {
			case out <- step{Name: fmt.Sprint(n), Data: bulk}:
			case <-ctx.Done():
				return 0, context.Cause(ctx)
			}
			<-time.After(100 * time.Millisecond)
		}
		return os.Getpid(), nil
	}, flame.Timeout(-1))
	begin := time.Now()
	i.drop(t, true, rules...)
	if lasts > 0 {
		n := 0
		<-time.After(lasts)
		i.drop(t, false, rules...)
		for ; n < 90; n++ {
			if got := <-steps; got.Name != fmt.Sprint(n) || string(got.Data) != string(bulk) {
				t.Fatalf("element %s came where %d belongs", got.Name, n)
			}
		}
		if got, err := task.Wait(t.Context()); got != runner || err != nil {
			t.Errorf("process %d, %v", got, err)
		}
		return
	}
	_, err = task.Wait(t.Context())
	var lost *flame.RunnerLostError
	if took := time.Since(begin); !errors.As(err, &lost) || took > promised+time.Second {
		t.Errorf("after %v: %v", took, err)
	}
	gone(t, runner)
	if took := time.Since(begin); took > promised+2*time.Second {
		t.Errorf("the runner was there for %v", took)
	}
	t.Logf("after %v: %v", time.Since(begin), err)
}

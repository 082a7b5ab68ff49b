//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	runners "github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/backend/kubernetes"
)

// telling says when it has booted something.
type telling struct{ backend.Networked }

func (b telling) Boot(ctx context.Context, spec backend.Spec) (backend.Instance, error) {
	i, err := b.Networked.Boot(ctx, spec)
	fmt.Println("booted", err)
	return i, err
}

// openPods opens a pool with one pod, which never joins.
func openPods(ctx context.Context, name, image string) (*runners.Pool, error) {
	b := kubernetes.New(kubernetes.Options{Image: image, Dial: "127.0.0.1:9", Namespace: "default"})
	return runners.Open(ctx, runners.Config{Name: name, Min: 1, Backend: telling{b.(backend.Networked)}})
}

func TestB11_PodsOfAKilledParentAreListedAndDeleted(t *testing.T) {
	if os.Getenv("KUBECONFIG") == "" || os.Getenv("FLAME_TEST_IMPORT") == "" {
		t.Skip("skipped: there is no Kubernetes whose node is this host: scripts/kubernetes starts one, as root")
	}
	gc := func(args ...string) string {
		var out, notes strings.Builder
		if code := flame().main(t.Context(), append([]string{"gc", "kubernetes", "-namespace", "default"}, args...), &out, &notes); code != done {
			t.Errorf("gc %q: exit code %d: %s", args, code, notes.String())
		}
		return out.String()
	}
	// Given the pod of a parent that is there,
	parent := exec.CommandContext(t.Context(), os.Args[0])
	parent.Env = append(os.Environ(), parentVariable+"=kubernetes gc-test docker.io/library/flame-pause:1")
	parent.Stderr = t.Output()
	said, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(said).ReadString('\n')
	if line != "booted <nil>\n" {
		t.Errorf("the parent says %q", line)
	}
	// it is none that gc is about,
	if got := gc(); strings.Contains(got, "gc-test") {
		t.Errorf("its parent is alive, and gc lists %q", got)
	}
	// until the parent is killed.
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	for range 2 { // a dry run changes nothing
		if got := gc(); strings.Count(got, "gc-test") != 1 {
			t.Errorf("gc lists %q", got)
		}
	}
	if got := gc("-yes"); strings.Count(got, "gc-test") != 1 {
		t.Errorf("gc deletes %q", got)
	}
	for end := time.Now().Add(time.Minute); ; <-time.After(100 * time.Millisecond) {
		if got := gc(); !strings.Contains(got, "gc-test") {
			return
		} else if time.Now().After(end) {
			t.Fatalf("gc still lists %q", got)
		}
	}
}

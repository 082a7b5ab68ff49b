//go:build linux

package fly_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/backend/backendtest"
	"github.com/fleetinglambda/flame/backend/fly"
)

func TestMain(m *testing.M) {
	flame.ServeIfRunner()
	os.Exit(m.Run())
}

// options are for machines of a cloud, as a program on one of them has them.
func options(t *testing.T, c *cloud) fly.Options {
	t.Helper()
	for name, value := range map[string]string{
		"FLY_API_TOKEN": token, "FLY_APP_NAME": "app", "FLY_IMAGE_REF": "registry.fly.io/app:deployment-1",
		"FLY_REGION": "ams", "FLY_PRIVATE_IP": "::1", "FLY_MACHINE_ID": "parent",
	} {
		t.Setenv(name, value)
	}
	return fly.Options{URL: c.URL, Env: []string{"FLAME_*", "GORACE"}}
}

func open(t *testing.T, o fly.Options, c flame.Config) (*flame.Pool, error) {
	t.Helper()
	c.Name, c.Backend = "fly-test", fly.New(o)
	p, err := flame.Open(t.Context(), c)
	if err == nil {
		t.Cleanup(func() { p.Close() })
	}
	return p, err
}

func mustOpen(t *testing.T, o fly.Options, c flame.Config) *flame.Pool {
	t.Helper()
	p, err := open(t, o, c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestF15_FlyPassesTheSuite(t *testing.T) {
	backendtest.Run(t, func(t *testing.T) backend.Backend { return fly.New(options(t, newCloud(t))) })
}

func TestF15_AMachineIsWhatTheSettingsSay(t *testing.T) {
	c := newCloud(t)
	o := options(t, c)
	o.CPUKind, o.CPUs, o.GPUKind, o.Metadata = "performance", 2, "a10", map[string]string{"team": "video"}
	p := mustOpen(t, o, flame.Config{Min: 1})
	m := c.all()[0]
	got := fmt.Sprintln(m.Config["guest"], m.Config["auto_destroy"], m.Config["restart"], m.Config["image"])
	if want := "map[cpu_kind:performance cpus:2 gpu_kind:a10 memory_mb:4096] true map[policy:no] registry.fly.io/app:deployment-1\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	meta := m.Config["metadata"].(map[string]any)
	if meta["team"] != "video" || meta["flame_pool"] != "fly-test" || meta["flame_home"] != "app/parent" || meta["flame_runner"] != m.Name {
		t.Errorf("metadata %v", meta)
	}
	for name := range m.Config["env"].(map[string]any) {
		if name != "GORACE" && !strings.HasPrefix(name, "FLAME_") {
			t.Errorf("%s of the environment was sent", name)
		}
	}
	p.Close()
	if n := c.running(); n > 0 {
		t.Errorf("%d machines are left", n)
	}
}

func TestB11_FailuresOfTheAPIAreOutlasted(t *testing.T) {
	for name, first := range map[string][]answer{
		"too many requests": {{429, "rate limit exceeded"}, {429, "rate limit exceeded"}},
		"its own faults":    {{500, "internal"}, {503, "unavailable"}},
		"no room":           {{422, "could not reserve resource for machine: insufficient memory available"}, {412, "no capacity"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			c.refuse["create"] = first
			p := mustOpen(t, options(t, c), flame.Config{Min: 1})
			if err := flame.Run(t.Context(), p, func(context.Context) error { return nil }); err != nil {
				t.Error(err)
			}
			if got := c.asked("create"); got != len(first)+1 {
				t.Errorf("%d requests", got)
			}
		})
	}
}

func TestB11_AMachineWhoseCreationWasNotAnsweredIsUsedAndNotLeft(t *testing.T) {
	c := newCloud(t)
	c.lose = true
	p := mustOpen(t, options(t, c), flame.Config{Min: 1})
	if n := c.running(); n != 1 {
		t.Errorf("%d machines", n)
	}
	if err := flame.Run(t.Context(), p, func(context.Context) error { return nil }); err != nil {
		t.Error(err)
	}
}

func TestB12_WhatTheAPIRefusesIsToldWithoutTheToken(t *testing.T) {
	c := newCloud(t)
	c.refuse["create"] = []answer{{401, "unauthorized: token has expired"}}
	var log strings.Builder
	o := options(t, c)
	b := fly.New(o)
	_, err := flame.Open(t.Context(), flame.Config{Name: "fly-test", Min: 1, Backend: b})
	fmt.Fprintf(&log, "%v %+v %#v %v", err, b, b, o.URL)
	if err == nil || !strings.Contains(err.Error(), "unauthorized: token has expired (HTTP 401)") || !strings.Contains(err.Error(), "app app") {
		t.Errorf("got %v", err)
	}
	if strings.Contains(log.String(), "hunter2") {
		t.Errorf("the token is in %s", log.String())
	}
}

func TestSettingsThatAreMissingAreNamed(t *testing.T) {
	for _, name := range []string{"FLY_API_TOKEN", "FLY_APP_NAME", "FLY_IMAGE_REF", "FLY_PRIVATE_IP", "FLY_MACHINE_ID"} {
		t.Setenv(name, "")
	}
	_, err := open(t, fly.Options{}, flame.Config{Min: 1})
	for _, name := range []string{"Token is not set, and neither is FLY_API_TOKEN", "FLY_APP_NAME", "FLY_IMAGE_REF", "Options.Dial"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not in: %v", name, err)
		}
	}
}

func TestN14_AKilledMachineIsLostWithItsSignal(t *testing.T) {
	c := newCloud(t)
	p := mustOpen(t, options(t, c), flame.Config{Min: 1})
	err := flame.Run(t.Context(), p, func(context.Context) error { return syscall.Kill(os.Getpid(), syscall.SIGKILL) })
	var lost *flame.RunnerLostError
	if !errors.As(err, &lost) || lost.Signal != syscall.SIGKILL {
		t.Errorf("got %v", err)
	}
}

func TestB11_ReapDestroysWhatAMachineThatIsGoneLeftAndNothingElse(t *testing.T) {
	c := newCloud(t)
	o := options(t, c)
	homes := map[string]bool{"app/stopped": true, "app/missing": true, "app/alive": false, "other/unseen": false, "": false, "app/parent": false}
	c.machines["alive"] = &vm{ID: "alive", Name: "alive", State: "started", Config: map[string]any{"metadata": map[string]string{}}}
	c.machines["stopped"] = &vm{ID: "stopped", Name: "stopped", State: "stopped", Config: map[string]any{"metadata": map[string]string{}}}
	var want int
	for home, gone := range homes {
		id := "runner-" + strings.ReplaceAll(home, "/", "-")
		c.machines[id] = &vm{ID: id, Name: id, State: "started", Config: map[string]any{"metadata": map[string]string{"flame_home": home}}}
		if gone {
			want++
		}
	}
	r := fly.New(o).(backend.Reaper)
	would, err := r.Reap(t.Context(), true)
	if len(would) != want || err == nil || !strings.Contains(err.Error(), "not authorized") || c.asked("destroy") != 0 {
		t.Errorf("a dry run names %q, %v, after %d requests to destroy", would, err, c.asked("destroy"))
	}
	did, _ := r.Reap(t.Context(), false)
	if len(did) != want || c.asked("destroy") != want {
		t.Errorf("destroyed %q with %d requests", did, c.asked("destroy"))
	}
	for _, name := range did {
		if name != "runner-app-stopped" && name != "runner-app-missing" {
			t.Errorf("destroyed %s", name)
		}
	}
}

func TestTheCloudHoldsRequestsToTheSchema(t *testing.T) {
	var quiet testing.T
	c := newCloud(t)
	c.t = &quiet
	c.check("create", "CreateMachineRequest", []byte(`{"name":"a","config":{"image":"i","auto_destroy":"yes"}}`))
	if !quiet.Failed() {
		t.Error("a string passes for a boolean")
	}
	var other testing.T
	c.t = &other
	c.check("create", "CreateMachineRequest", []byte(`{"name":"a","config":{"image":"i","autodestroy":true}}`))
	if !other.Failed() {
		t.Error("a field passes that is not in the schema")
	}
}

func TestF11_NoRoomForLongerThanABootIsABootError(t *testing.T) {
	c := newCloud(t)
	c.refuse["create"] = []answer{{422, "insufficient capacity"}}
	for range 100 {
		c.refuse["create"] = append(c.refuse["create"], c.refuse["create"][0])
	}
	start := time.Now()
	_, err := open(t, options(t, c), flame.Config{Min: 1, BootTimeout: 2 * time.Second})
	if err == nil || !strings.Contains(err.Error(), "it was not ready in 2s") || !strings.Contains(err.Error(), "insufficient capacity") || time.Since(start) > 20*time.Second {
		t.Errorf("after %v: %v", time.Since(start), err)
	}
}

func TestF14_WithPerCallWhatAFunctionPrintsComesOverTheSession(t *testing.T) {
	log := make(lines, 100)
	p := mustOpen(t, options(t, newCloud(t)), flame.Config{Isolation: flame.PerCall, Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err := flame.Run(t.Context(), p, func(context.Context) error { fmt.Println("printed on a machine"); return nil }); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for line := ""; !strings.Contains(line, `msg="printed on a machine" pool=fly-test runner=fly-test-`); {
		select {
		case line = <-log:
		case <-ctx.Done():
			t.Fatal("it is not logged")
		}
	}
}

// lines takes what is written, as long as there is room.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	select {
	case l <- string(b):
	default:
	}
	return len(b), nil
}

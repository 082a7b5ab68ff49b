package runner

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetinglambda/flame/backend"
)

func TestCleanupIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ran atomic.Int32
		release := make(chan struct{})
		start := time.Now()
		clean([]func(context.Context){
			func(ctx context.Context) { ran.Add(1) },
			func(ctx context.Context) { <-ctx.Done(); <-release }, // ignores that its time is over
			func(ctx context.Context) { ran.Add(10) },
		}, time.Second)
		if took := time.Since(start); took != time.Second || ran.Load() != 1 {
			t.Errorf("after %v, %d", took, ran.Load())
		}
		close(release)
	})
}

func TestInviteIsOneVariableAndReadsBack(t *testing.T) {
	want := Invite{Parent: "host-1", Pool: `a "pool" = ü`, Runner: "r-1", Backend: "*process.processes"}
	name, text, _ := strings.Cut(want.Variable(), "=")
	var got Invite
	if err := json.Unmarshal([]byte(text), &got); err != nil || got != want || name != backend.EnvParent {
		t.Errorf("%s=%s: %+v, %v", name, text, got, err)
	}
}

func TestLongPanicsAreClipped(t *testing.T) {
	if got := clip(strings.Repeat("x", maxText+1)); len(got) > maxText+10 || clip("short") != "short" {
		t.Errorf("%d bytes", len(got))
	}
}

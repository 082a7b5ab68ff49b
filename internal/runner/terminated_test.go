//go:build linux

package runner

import (
	"context"
	"strconv"
	"syscall"
	"testing"

	"github.com/fleetinglambda/flame/internal/codec"
	"github.com/fleetinglambda/flame/internal/session"
)

func TestF10_ARunnerThatIsTerminatedAsSoonAsItHasJoinedLosesNoCall(t *testing.T) {
	var f Function = function{func(context.Context) (string, error) { return "done", nil }}
	for range 20 {
		// Given a runner that has just joined,
		s, inst := withSlots(t, 0, 0)
		pid, err := strconv.Atoi(inst.ID())
		if err != nil {
			t.Fatal(err)
		}
		// when it is told to end while a call is on its way,
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		msg, err := codec.Encode(&f, codec.Options{Snapshot: true})
		if err != nil {
			t.Fatal(err)
		}
		answer := make(chan session.Result, 1)
		if err := s.Send(&session.Call{Ended: func(r session.Result) { answer <- r }}, msg, 0); err == nil { // else it has said so already
			if r := <-answer; r.Lost && r.Started {
				t.Error("the call is lost")
			}
		}
		// then that is done, or somebody else's to do, and the runner says that it leaves.
		select {
		case <-s.Leaving():
		case <-s.Done():
			t.Errorf("it did not say that it leaves: %v", s.Err())
		}
	}
}

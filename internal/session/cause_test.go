package session

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/fleetinglambda/flame/internal/wire"
)

func TestN17_ACallsContextHasItsCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		why := errors.New("changed my mind")
		c := new(callContext)
		child, cancel := context.WithCancel(context.WithValue(c, key{}, 1))
		defer cancel()
		if context.Cause(c) != nil || context.Cause(child) != nil || c.Value(key{}) != nil {
			t.Error("a cause of what goes on")
		}
		c.endFor(context.Canceled, why, nil)
		c.endFor(context.DeadlineExceeded, errors.New("too late"), nil)
		<-child.Done()
		late, stop := context.WithCancel(c)
		defer stop()
		<-late.Done()
		for name, ctx := range map[string]context.Context{"itself": c, "a child": child, "a late child": late} {
			if context.Cause(ctx) != why || ctx.Err() != context.Canceled {
				t.Errorf("%s ended with %v for %v", name, ctx.Err(), context.Cause(ctx))
			}
		}
	})
}

func TestN17_ACancelledCallIsToldWhy(t *testing.T) {
	for name, tc := range map[string]struct {
		end  func(s *Session, c *Call)
		want string
	}{
		"a cause":   {func(s *Session, c *Call) { s.CancelFor(c, []byte("bored")) }, "read: bored"},
		"none":      {func(s *Session, c *Call) { s.Cancel(c) }, "context canceled"},
		"too large": {func(s *Session, c *Call) { s.CancelFor(c, make([]byte, 1<<16)) }, "context canceled"},
		"lost":      {func(s *Session, _ *Call) { s.Close() }, "the connection to the parent is over: "},
	} {
		t.Run(name, func(t *testing.T) {
			overEachConnection(t, func(t *testing.T, parent, runner io.ReadWriteCloser) {
				begun, cause := make(chan struct{}), make(chan error, 1)
				s, v := connect(t, parent, runner, func(in *Incoming) {
					close(begun)
					<-in.Context().Done()
					cause <- context.Cause(in.Context())
					in.Reply(nil)
				})
				v.Cause = func(why []byte) error { return errors.New("read: " + string(why)) }
				c := &Call{Ended: func(Result) {}}
				if err := s.Send(c, [][]byte{{1}}, 0); err != nil {
					t.Fatal(err)
				}
				<-begun
				tc.end(s, c)
				if err := <-cause; !strings.HasPrefix(err.Error(), tc.want) {
					t.Errorf("its cause is %v", err)
				}
			})
		})
	}
}

// FuzzCancel: whatever a Cancel frame says, the call ends, and its cause is what can be read of it.
func FuzzCancel(f *testing.F) {
	f.Add(uint64(1), []byte("bored"))
	f.Add(uint64(0), []byte{})
	f.Fuzz(func(t *testing.T, id uint64, why []byte) {
		_, runner := net.Pipe()
		v := newServer(newCarrier(runner), DefaultLimits)
		v.Cause = func(why []byte) error { return errors.New(string(why)) }
		in := &Incoming{server: v, id: 1}
		v.live[1] = in
		held := 0
		if err := v.dispatch(wire.Frame{Call: id, Kind: wire.Cancel, Payload: why}, &held); err != nil {
			t.Fatal(err)
		}
		err, cause := in.ctx.Err(), context.Cause(&in.ctx)
		switch {
		case id != 1 && err != nil, id == 1 && err != context.Canceled, string(in.Why()) != string(why) && id == 1,
			id == 1 && len(why) == 0 && cause != err, id == 1 && len(why) > 0 && cause.Error() != string(why):
			t.Errorf("call %d: %v, %v, %q", id, err, cause, in.Why())
		}
	})
}

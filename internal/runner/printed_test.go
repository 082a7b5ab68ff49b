//go:build linux

package runner

import (
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fleetinglambda/flame/internal/lend"
	"github.com/fleetinglambda/flame/internal/session"
)

// TestF14_LinesThatTheParentDoesNotTakeAreDroppedAndCounted: the parent reads nothing while a process prints.
func TestF14_LinesThatTheParentDoesNotTakeAreDroppedAndCounted(t *testing.T) {
	const n = 100_000
	stalled := &stalling{goOn: make(chan struct{})}
	s := served(t, stalled, func(_ *session.Server, in *session.Incoming) {
		p := newPrinted(new(atomic.Pointer[session.Server]))
		p.begin(in)
		for i := range n {
			fmt.Fprintf(p, "line number %d of those that are many\n", i)
		}
		close(stalled.goOn)
		p.end()
		in.Reply(nil)
	})
	var lines, dropped int
	s.Hear(func(c *session.Call, b []byte) {
		told, err := lend.ReadTold(b)
		if err != nil || c == nil {
			t.Error(err)
		}
		if dropped += told.Dropped; len(told.Line) > 0 {
			lines++
		}
	})
	stalled.stalls.Store(true)
	ended := make(chan session.Result, 1)
	if err := s.Send(&session.Call{Ended: func(r session.Result) { ended <- r }}, nil, 0); err != nil {
		t.Fatal(err)
	}
	<-ended
	if lines+dropped != n || dropped == 0 || lines == 0 {
		t.Errorf("%d lines came and %d were dropped", lines, dropped)
	}
}

// served returns a session, over a connection that may stall, with a runner in this process that has handle answer.
func served(t *testing.T, over *stalling, handle func(*session.Server, *session.Incoming)) *session.Session {
	t.Helper()
	parent, conn := net.Pipe()
	over.Conn = parent
	var wg sync.WaitGroup
	wg.Go(func() {
		v, err := session.Join(t.Context(), conn, session.Hello{Runner: "r-1"}, func(session.Welcome) error { return nil })
		if err != nil {
			t.Error(err)
			return
		}
		v.Serve(func(in *session.Incoming) { handle(v, in) })
		v.Wait()
	})
	s, err := session.Accept(t.Context(), over, "r-1", session.Welcome{Message: 1 << 20, Silence: session.DefaultLimits.Silence}, session.DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		wg.Wait()
	})
	return s
}

// stalling is a connection that is not read for a while.
type stalling struct {
	net.Conn
	stalls atomic.Bool
	goOn   chan struct{}
}

func (s *stalling) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if s.stalls.Load() {
		<-s.goOn
	}
	return n, err
}

func TestF14_WhatAProcessPrintsBetweenCallsIsOfNone(t *testing.T) {
	var told []string
	s := served(t, new(stalling), func(v *session.Server, in *session.Incoming) {
		server := new(atomic.Pointer[session.Server])
		server.Store(v)
		p := newPrinted(server)
		p.begin(in)
		p.pass(lend.TellLine([]byte("of the call"), 0, 0))
		p.end()
		p.pass(lend.TellLine([]byte("of none"), 0, 0))
		in.Reply(nil)
	})
	s.Hear(func(c *session.Call, b []byte) {
		line, _ := lend.ReadTold(b)
		told = append(told, fmt.Sprint(c != nil, " ", string(line.Line)))
	})
	ended := make(chan session.Result, 1)
	if err := s.Send(&session.Call{Ended: func(r session.Result) { ended <- r }}, nil, 0); err != nil {
		t.Fatal(err)
	}
	<-ended
	if want := []string{"true of the call", "false of none"}; !slices.Equal(told, want) {
		t.Errorf("%q", told)
	}
}

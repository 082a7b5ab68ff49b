package session

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// keeping echoes calls and keeps what is resident until its context ends.
func keeping(kept chan<- uint64) func(*Incoming) {
	return func(in *Incoming) {
		if in.Resident() {
			kept <- in.Key()
			untilCancelled(in)
			return
		}
		echo(in)
	}
}

// settleIn makes something resident and returns where its end is told.
func settleIn(t *testing.T, s *Session, msg []byte) (*Call, <-chan Result) {
	t.Helper()
	over := make(chan Result, 1)
	c := &Call{Ended: func(r Result) { over <- r }, Key: 7, Resident: true}
	if err := s.Send(c, [][]byte{msg}, 0); err != nil {
		t.Fatal(err)
	}
	return c, over
}

func TestN08_ARunnerThatDrainsDoesNotWaitForWhatIsResident(t *testing.T) {
	for name, leave := range map[string]func(*Session, *Server){
		"told by its parent": func(s *Session, _ *Server) { s.Drain() },
		"by its own will":    func(_ *Session, v *Server) { v.Leave() },
	} {
		t.Run(name, func(t *testing.T) {
			overEachConnection(t, func(t *testing.T, parent, runner io.ReadWriteCloser) {
				kept := make(chan uint64, 1)
				s, v := connect(t, parent, runner, keeping(kept))
				_, over := settleIn(t, s, []byte("x"))
				if key := <-kept; key != 7 {
					t.Errorf("it is kept as %d", key)
				}
				if r, err := do(s, []byte("call")); err != nil || string(r.Data) != "call" {
					t.Fatalf("%+v, %v", r, err)
				}
				leave(s, v)
				if r := <-over; string(r.Data) != "context canceled" || r.Lost {
					t.Errorf("what was resident: %+v", r)
				}
				<-v.Done()
				if err := v.Err(); err != nil {
					t.Errorf("the runner was not drained: %v", err)
				}
			})
		})
	}
}

func TestN08_ACallIsWaitedForAndWhatIsResidentStaysMeanwhile(t *testing.T) {
	kept, running, finish := make(chan uint64, 1), make(chan struct{}), make(chan struct{})
	s, v := connectTelling(t, func(in *Incoming) {
		if in.Resident() {
			keeping(kept)(in)
			return
		}
		close(running)
		<-finish
		echo(in)
	}, nil)
	_, over := settleIn(t, s, []byte("x"))
	<-kept
	result := make(chan Result, 1)
	if err := s.Send(&Call{Ended: func(r Result) { result <- r }}, [][]byte{[]byte("had")}, 0); err != nil {
		t.Fatal(err)
	}
	<-running
	s.Drain()
	if all, err := s.Stacks(t.Context(), nil); err != nil || len(all) > 0 { // there and back: nothing was cancelled
		t.Errorf("%q, %v", all, err)
	}
	select {
	case r := <-over:
		t.Errorf("it has ended while a call runs: %+v", r)
	default:
	}
	close(finish)
	if r := <-result; string(r.Data) != "had" {
		t.Errorf("%+v", r)
	}
	<-over
	<-v.Done()
}

func TestN08_WhatIsResidentMakesNoSessionBusy(t *testing.T) {
	kept := make(chan uint64, 1)
	s, v := connectTelling(t, keeping(kept), nil)
	c, over := settleIn(t, s, []byte("x"))
	<-kept
	if calls := s.live(); calls != 0 || !v.isIdle() {
		t.Errorf("%d calls; the runner is idle: %v", calls, v.isIdle())
	}
	s.Cancel(c)
	if r := <-over; string(r.Data) != "context canceled" {
		t.Errorf("%+v", r)
	}
	if _, err := do(s, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if calls := s.live(); calls != 0 || !v.isIdle() {
		t.Errorf("after it, %d calls; the runner is idle: %v", calls, v.isIdle())
	}
}

func TestN08_WhatIsResidentIsLostWithItsSession(t *testing.T) {
	kept := make(chan uint64, 1)
	s, _ := connectTelling(t, keeping(kept), nil)
	_, over := settleIn(t, s, bytes.Repeat([]byte("x"), 1<<20))
	<-kept
	s.end(errors.New("cut"))
	if r := <-over; !r.Lost || !r.Started {
		t.Errorf("%+v", r)
	}
}

package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetinglambda/flame/internal/wire"
)

// holding is a call whose result is held.
type holding struct {
	Call
	held, ended chan Result
	notes       chan string
}

func newHolding(attended bool) *holding {
	h := &holding{held: make(chan Result, 1), ended: make(chan Result, 1), notes: make(chan string, 10)}
	h.Call = Call{
		Held: func(r Result) { h.held <- r }, Ended: func(r Result) { h.ended <- r }, Noted: func(n []byte) { h.notes <- string(n) },
		Attended: attended,
	}
	return h
}

// keep holds a result, then answers every note until it is told to end, or its context does.
func keep(result []byte) func(*Incoming) {
	return func(in *Incoming) {
		over := make(chan struct{})
		in.Listen(func(note []byte) {
			if string(note) == "end" {
				close(over)
				return
			}
			in.Note(bytes.ToUpper(note))
		})
		in.Hold([][]byte{result}, false)
		select {
		case <-over:
			in.Reply([][]byte{[]byte("over")})
		case <-in.Context().Done():
			in.Reply([][]byte{[]byte(in.Context().Err().Error())})
		}
	}
}

func TestF13_AHeldResultComesWhileTheCallGoesOn(t *testing.T) {
	overEachConnection(t, func(t *testing.T, parent, runner io.ReadWriteCloser) {
		sizes := make(chan int, 1)
		s, _ := connect(t, parent, runner, func(in *Incoming) { keep(make([]byte, <-sizes))(in) })
		for _, size := range []int{10, 1 << 20} {
			for _, attended := range []bool{true, false} {
				h := newHolding(attended)
				sizes <- size
				if err := s.Send(&h.Call, nil, time.Hour); err != nil {
					t.Fatal(err)
				}
				s.Wait(&h.Call)
				if r := <-h.held; len(r.Data) != size || r.Lost {
					t.Fatalf("%d bytes, %+v", len(r.Data), r.Lost)
				}
				s.Note(&h.Call, []byte("more"))
				if n := <-h.notes; n != "MORE" {
					t.Errorf("noted %q", n)
				}
				other := newHolding(false)
				sizes <- size
				if err := s.Send(&other.Call, nil, 0); err != nil {
					t.Fatal(err)
				}
				s.Cancel(&other.Call)
				if r := <-other.ended; string(r.Data) != "context canceled" {
					t.Errorf("cancelled: %q", r.Data)
				}
				s.Note(&h.Call, []byte("end"))
				if r := <-h.ended; string(r.Data) != "over" || r.Lost || s.live() != 0 {
					t.Errorf("ended: %+v, %d calls", r, s.live())
				}
			}
		}
	})
}

// TestF13_TheEndDoesNotOvertakeALargeHeldResult has the parent cancel before all of it has come.
func TestF13_TheEndDoesNotOvertakeALargeHeldResult(t *testing.T) {
	overEachConnection(t, func(t *testing.T, parent, runner io.ReadWriteCloser) {
		begun := make(chan struct{}, 1)
		s, _ := connect(t, parent, runner, func(in *Incoming) {
			begun <- struct{}{}
			keep(make([]byte, 8<<20))(in)
		})
		for range 10 {
			h := newHolding(false)
			if err := s.Send(&h.Call, nil, 0); err != nil {
				t.Fatal(err)
			}
			<-begun
			s.Cancel(&h.Call)
			if r := <-h.ended; r.Lost || string(r.Data) != "context canceled" {
				t.Fatalf("%v, the session: %v", r.Lost, s.Err())
			}
			if r := <-h.held; len(r.Data) != 8<<20 {
				t.Errorf("%d bytes", len(r.Data))
			}
		}
	})
}

func TestF13_WhatIsHeldOutlivesTheDeadlineAndEndsWithTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, runner := net.Pipe()
		why := make(chan error, 1)
		s, _ := connect(t, parent, runner, func(in *Incoming) {
			own, cancel := context.WithCancel(in.Context())
			defer cancel()
			in.Hold(nil, false)
			if _, has := own.Deadline(); has {
				t.Error("it has a deadline")
			}
			<-own.Done()
			why <- own.Err()
			in.Reply(nil)
		})
		h := newHolding(true)
		if err := s.Send(&h.Call, nil, time.Second); err != nil {
			t.Fatal(err)
		}
		s.Wait(&h.Call)
		<-h.held
		time.Sleep(time.Hour)
		synctest.Wait()
		select {
		case err := <-why:
			t.Fatalf("it ended: %v", err)
		default:
		}
		s.Close()
		if r := <-h.ended; !r.Lost || !r.Started {
			t.Errorf("%+v", r)
		}
		if err := <-why; err != context.Canceled {
			t.Error(err)
		}
	})
}

func TestF13_ADrainWaitsForWhatIsHeld(t *testing.T) {
	parent, runner := sockets(t)
	s, _ := connect(t, parent, runner, keep(nil))
	h := newHolding(true)
	if err := s.Send(&h.Call, nil, 0); err != nil {
		t.Fatal(err)
	}
	s.Wait(&h.Call)
	s.Drain()
	s.Note(&h.Call, []byte("still there?"))
	if n := <-h.notes; n != "STILL THERE?" {
		t.Errorf("%q", n)
	}
	s.Note(&h.Call, []byte("end"))
	if r := <-h.ended; r.Lost {
		t.Errorf("lost: %v", s.Err())
	}
	<-s.done // the runner has left
}

// TestF13_HeldWhereNothingCanBeIsCorrupt has runners that do not keep to the rules.
func TestF13_HeldWhereNothingCanBeIsCorrupt(t *testing.T) {
	held := wire.AppendResultHead(nil, wire.ResultHead{Held: true})
	for name, c := range map[string]struct {
		can    bool
		frames int
	}{"not expected": {false, 1}, "twice": {true, 2}} {
		t.Run(name, func(t *testing.T) {
			parent, runner := sockets(t)
			var wg sync.WaitGroup
			defer wg.Wait()
			s, _ := connect(t, parent, runner, func(in *Incoming) {
				for range c.frames {
					in.server.out.addFrame(wire.Result, in.id, held)
				}
				in.server.out.flush()
				<-in.Context().Done()
				in.Reply(nil)
			})
			h := newHolding(true)
			if !c.can {
				h.Held = nil
			}
			if err := s.Send(&h.Call, nil, 0); err != nil {
				t.Fatal(err)
			}
			if r := <-h.ended; !r.Lost || !errors.Is(s.Err(), wire.ErrCorrupt) || !strings.Contains(s.Err().Error(), "cannot be held") {
				t.Errorf("%+v; the session: %v", r, s.Err())
			}
		})
	}
}

// TestF13_OfADetachedCallNothingIsHeldWithoutItsParent: a function may go on alone, what it returns may not.
func TestF13_OfADetachedCallNothingIsHeldWithoutItsParent(t *testing.T) {
	parent, runner := sockets(t)
	begun, lost, over := make(chan struct{}), make(chan struct{}), make(chan error, 2)
	s, v := connect(t, parent, runner, func(in *Incoming) {
		if string(in.Data) == "late" {
			close(begun)
			<-lost
		}
		in.Hold(nil, false)
		<-in.Context().Done()
		over <- in.Context().Err()
		in.Reply(nil)
	})
	for _, what := range []string{"early", "late"} {
		h := newHolding(false)
		h.Detached = true
		if err := s.Send(&h.Call, [][]byte{[]byte(what)}, 0); err != nil {
			t.Fatal(err)
		}
		if what == "early" {
			<-h.held
		}
	}
	<-begun
	s.Close()
	<-v.done
	close(lost)
	for range 2 {
		if err := <-over; err != context.Canceled {
			t.Error(fmt.Errorf("it ended with %w", err))
		}
	}
}

package session

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"
)

func TestALeavingRunnerFinishesWhatItHasAndGetsNothingNew(t *testing.T) {
	overEachConnection(t, func(t *testing.T, parent, runner io.ReadWriteCloser) {
		running, finish := make(chan struct{}), make(chan struct{})
		s, v := connect(t, parent, runner, func(in *Incoming) {
			close(running)
			<-finish
			in.Reply([][]byte{in.Data})
		})
		result := make(chan Result, 1)
		if err := s.Send(&Call{Ended: func(r Result) { result <- r }}, [][]byte{[]byte("had")}, 0); err != nil {
			t.Fatal(err)
		}
		<-running
		v.Leave()
		v.Leave()
		<-s.Leaving()
		never := &Call{Ended: func(Result) { t.Error("a call that was refused has ended") }}
		if err := s.Send(never, [][]byte{[]byte("new")}, 0); !errors.Is(err, ErrLeaving) {
			t.Errorf("a call for a leaving runner: %v", err)
		}
		if err := s.Err(); err != nil {
			t.Errorf("the session is over while a call runs: %v", err)
		}
		close(finish)
		if r := <-result; string(r.Data) != "had" || r.Lost {
			t.Errorf("the call that it had: %+v", r)
		}
		<-v.Done()
		if err := v.Err(); err != nil {
			t.Errorf("the runner was not drained: %v", err)
		}
		<-s.Done()
	})
}

func TestAnIdleRunnerThatLeavesIsDrainedAtOnce(t *testing.T) {
	s, v := connectTelling(t, echo, nil)
	if _, err := do(s, []byte("x")); err != nil {
		t.Fatal(err)
	}
	v.Leave()
	<-s.Leaving()
	if <-v.Done(); v.Err() != nil {
		t.Errorf("the runner was not drained: %v", v.Err())
	}
}

// connectTelling joins two ends over a socketpair; the runner tells its stacks.
func connectTelling(t *testing.T, handle func(*Incoming), stacks func(*Incoming) []byte) (*Session, *Server) {
	t.Helper()
	parent, runner := sockets(t)
	joined := make(chan *Server, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		v, err := Join(t.Context(), runner, hello, anything)
		if err != nil {
			t.Error(err)
			close(joined)
			return
		}
		v.Stacks = stacks
		joined <- v
		v.Serve(handle)
		v.Wait()
	})
	s, err := Accept(t.Context(), parent, "r1", welcome, DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		wg.Wait()
	})
	return s, <-joined
}

func TestN14_StacksAreAskedOfACallOrOfAll(t *testing.T) {
	running := make(chan struct{}, 1)
	s, _ := connectTelling(t, func(in *Incoming) {
		running <- struct{}{}
		untilCancelled(in)
	}, func(in *Incoming) []byte {
		if in == nil {
			return []byte("all")
		}
		return append([]byte("of "), in.Data...)
	})
	over := make(chan Result, 1)
	c := &Call{Ended: func(r Result) { over <- r }}
	if err := s.Send(c, [][]byte{[]byte("me")}, 0); err != nil {
		t.Fatal(err)
	}
	<-running
	for ask, want := range map[*Call]string{nil: "all", c: "of me", {}: ""} {
		if got, err := s.Stacks(t.Context(), ask); string(got) != want || err != nil {
			t.Errorf("%q, %v instead of %q", got, err, want)
		}
	}
	s.Cancel(c)
	<-over
	if got, err := s.Stacks(t.Context(), c); len(got) > 0 || err != nil {
		t.Errorf("of a call that is over: %q, %v", got, err)
	}
}

func TestN14_StacksThatNeverComeAreNotWaitedForTooLong(t *testing.T) {
	block := make(chan struct{})
	s, _ := connectTelling(t, echo, func(*Incoming) []byte { <-block; return nil })
	defer close(block)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := s.Stacks(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if r, err := do(s, []byte("x")); err != nil || string(r.Data) != "x" {
		t.Errorf("the next call: %+v, %v", r, err)
	}
	var wg sync.WaitGroup
	failed := make(chan error, 1)
	wg.Go(func() { _, err := s.Stacks(t.Context(), nil); failed <- err })
	s.end(errors.New("cut"))
	if err := <-failed; err == nil {
		t.Error("stacks of a session that is over")
	}
	wg.Wait()
}

//go:build linux

package runner

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/fleetinglambda/flame/internal/codec"
	"github.com/fleetinglambda/flame/internal/session"
)

// part is an item of these tests: it adds to what stays.
type part struct{ number uint64 }

func (p part) Run(context.Context) (any, error) { return nil, errors.New("it has nothing to add to") }

func (p part) Needs() uint64 { return p.number }

func (p part) With(resident any) (Function, error) {
	f := resident.(function)
	return function{func(ctx context.Context) (string, error) {
		text, err := f.fn(ctx)
		return text + " and part", err
	}}, nil
}

// send sends a Function, as a call or as what is resident under a number.
func send(t *testing.T, s *session.Session, f Function, resident uint64, left time.Duration) (*session.Call, <-chan session.Result) {
	t.Helper()
	msg, err := codec.Encode(&f, codec.Options{Snapshot: true})
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan session.Result, 1)
	c := &session.Call{Ended: func(r session.Result) { over <- r }, Resident: resident > 0, Key: resident}
	if err := s.Send(c, msg, left); err != nil {
		t.Fatal(err)
	}
	return c, over
}

// text is what an answer holds.
func text(t *testing.T, r session.Result) (text string) {
	t.Helper()
	if len(r.Data) == 0 || Outcome(r.Data[0]) != Returned {
		t.Fatalf("%+v", r)
	}
	if err := codec.Decode(r.Data[1:], &text, codec.Untrusted); err != nil {
		t.Fatal(err)
	}
	return text
}

func TestN08_AnItemWaitsForWhatItNeeds(t *testing.T) {
	s := inside(t)
	_, early := send(t, s, part{7}, 0, 0)
	stays, over := send(t, s, function{func(context.Context) (string, error) { return "whole", nil }}, 7, 0)
	_, late := send(t, s, part{7}, 0, 0)
	for _, r := range []<-chan session.Result{early, late} {
		if got := text(t, <-r); got != "whole and part" {
			t.Errorf("got %q", got)
		}
	}
	s.Cancel(stays)
	if r := <-over; Outcome(r.Data[0]) != Returned {
		t.Errorf("%+v", r)
	}
}

func TestN08_AnItemDoesNotWaitBeyondItsTime(t *testing.T) {
	s := inside(t)
	_, over := send(t, s, part{8}, 0, time.Millisecond)
	if r := <-over; Outcome(r.Data[0]) != Unreadable {
		t.Errorf("%+v", r)
	}
}

func TestN08_NothingStaysThatNobodyKeepsOrWaitsFor(t *testing.T) {
	var r residents
	one, two := r.use(1), r.use(1)
	if one != two {
		t.Error("there are two of one number")
	}
	if r.release(1, one); len(r.by) != 1 {
		t.Error("it is gone and somebody uses it")
	}
	if r.release(1, two); len(r.by) != 0 {
		t.Errorf("%d are left", len(r.by))
	}
}

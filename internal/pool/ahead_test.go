package pool

import (
	"errors"
	"testing"
	"time"

	"github.com/fleetinglambda/flame/internal/session"
)

func TestN08_WhatIsSentAheadOfACallKeepsNoRunnerUp(t *testing.T) {
	c := new(cloud)
	bubble(t, c, func(c *Config) { c.IdleShutdownAfter = time.Second }, func(t *testing.T, p *Pool) {
		var sessions []*session.Session
		over := make(chan session.Result, 2)
		for range 2 {
			item := message("echo")
			item.Ahead = func(_ *Call, s *session.Session) error {
				sessions = append(sessions, s)
				return s.Send(&session.Call{Resident: true, Ended: func(r session.Result) { over <- r }}, [][]byte{[]byte("forever")}, 0)
			}
			if err := p.Do(t.Context(), item); err != nil {
				t.Fatal(err)
			}
			if s := p.Stats(); s.Running != 0 || s.Ready != 1 {
				t.Errorf("%+v", s)
			}
			if r := <-over; string(r.Data) != "forever" || r.Lost {
				t.Errorf("it was not told to leave: %+v", r)
			}
			<-time.After(time.Second)
		}
		if len(sessions) != 2 || sessions[0] == sessions[1] || c.booted() != 2 {
			t.Errorf("%d sessions, %d boots", len(sessions), c.booted())
		}
	})
}

func TestN08_ACallThatNothingCanBeSentAheadOfDoesNotRun(t *testing.T) {
	c := new(cloud)
	bubble(t, c, nil, func(t *testing.T, p *Pool) {
		no := errors.New("no")
		item := message("echo me")
		item.Ahead = func(*Call, *session.Session) error { return no }
		if err := p.Do(t.Context(), item); !errors.Is(err, no) {
			t.Errorf("got %v", err)
		}
		if err := p.Do(t.Context(), message("echo next")); err != nil {
			t.Error(err)
		}
		if c.ran["echo me"] != 0 || c.ran["echo next"] != 1 || c.booted() != 1 {
			t.Errorf("ran %v on %d runners", c.ran, c.booted())
		}
	})
}

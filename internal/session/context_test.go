package session

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestCallContextBehavesAsAnyOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &callContext{deadline: time.Now().Add(time.Hour)}
		child, cancel := context.WithTimeout(c, 2*time.Hour)
		defer cancel()
		if d, ok := child.Deadline(); !ok || !d.Equal(c.deadline) {
			t.Errorf("a child's deadline is %v", d)
		}
		called := make(chan error, 2)
		context.AfterFunc(c, func() { called <- c.Err() })
		stopped := context.AfterFunc(c, func() { called <- errors.New("stopped") })
		if !stopped() || c.Err() != nil {
			t.Error("AfterFunc could not be stopped")
		}
		done := c.Done()
		c.end(context.DeadlineExceeded)
		c.end(context.Canceled)
		<-done
		<-child.Done()
		if err := <-called; err != context.DeadlineExceeded || child.Err() != err || c.Err() != err || context.Cause(child) != err {
			t.Errorf("ended with %v, the child with %v", c.Err(), child.Err())
		}
		late, stop := context.WithCancel(c)
		defer stop()
		<-late.Done()
		late2 := make(chan struct{})
		context.AfterFunc(c, func() { close(late2) })
		<-late2
		if len(called) > 0 {
			t.Error("what was stopped was called")
		}
	})
}

func TestManyDeadlinesNeedOneTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newServer(newCarrier(nil), DefaultLimits)
		start := time.Now()
		for i, left := range []time.Duration{3 * time.Second, time.Second, 2 * time.Second} {
			in := &Incoming{server: v, id: uint64(i)}
			in.ctx.deadline = start.Add(left)
			v.live[in.id] = in
			v.mu.Lock()
			v.armLocked(in.ctx.deadline)
			v.mu.Unlock()
		}
		for i, want := range []time.Duration{3 * time.Second, time.Second, 2 * time.Second} {
			<-v.live[uint64(i)].ctx.Done()
			if took := time.Since(start); took < want || v.live[uint64(i)].ctx.Err() != context.DeadlineExceeded {
				t.Errorf("deadline %d came after %v", i, took)
			}
		}
	})
}

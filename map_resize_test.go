//go:build linux

package flame_test

import (
	"context"
	"iter"
	"sync"
	"testing"

	"github.com/fleetinglambda/flame"
)

func TestN08_ALoopFollowsThePoolsSize(t *testing.T) {
	p, _ := open(t, flame.Config{Max: 1, MaxConcurrency: 1})
	n := listen(t)
	addr := n.addr
	next, stop := iter.Pull2(flame.Map(t.Context(), p, upTo(30), func(_ context.Context, n int) (int, error) {
		if n < 3 {
			return n, hold(addr)
		}
		return n, nil
	}))
	defer stop()
	first := make(chan error, 1)
	var loop sync.WaitGroup
	loop.Go(func() {
		_, err, _ := next()
		first <- err
	})
	n.next(t)
	if waiting := p.Stats().Waiting; waiting > 0 {
		t.Errorf("%d items wait for a slot", waiting)
	}
	if err := p.Resize(0, 3); err != nil {
		t.Fatal(err)
	}
	n.next(t)
	n.next(t)
	if err := p.Resize(0, 1); err != nil {
		t.Fatal(err)
	}
	n.release()
	if err := <-first; err != nil {
		t.Error(err)
	}
	loop.Wait()
	for i := 1; i < 30; i++ {
		if v, err, ok := next(); v != i || err != nil || !ok {
			t.Errorf("item %d: %d, %v", i, v, err)
		}
		if s := p.Stats(); i >= 3 && s.Running+s.Waiting > 1 {
			t.Errorf("%+v", s)
		}
	}
	if _, _, ok := next(); ok {
		t.Error("there is one more")
	}
}

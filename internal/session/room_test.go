package session

import (
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetinglambda/flame/internal/wire"
)

func TestRoomIsWaitedForUntilTheOtherSideReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Given an outbox with more than a few frames for somebody who does not read.
		ours, theirs := net.Pipe()
		closed := make(chan struct{})
		o := newOutbox(ours, closed, func(error) {})
		var wg sync.WaitGroup
		wg.Go(o.run)
		const most = 3 * wire.MaxFrame
		for range 10 {
			o.addFrame(wire.Note, 1, make([]byte, wire.MaxPayload))
		}
		o.flush() // in one write
		// When asked to wait for room, then it does until that has been read, though more has come.
		var waited time.Duration
		start := time.Now()
		wg.Go(func() {
			o.waitFor(most)
			waited = time.Since(start)
		})
		time.Sleep(time.Second)
		o.addFrame(wire.Note, 1, make([]byte, wire.MaxPayload))
		r := wire.NewReader(theirs)
		for range 10 {
			if _, err := r.Next(); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if waited != time.Second || o.backlog() != wire.MaxFrame {
			t.Errorf("waited %v, %d bytes are left", waited, o.backlog())
		}
		// And a session that is over keeps nobody waiting.
		for range 10 {
			o.addFrame(wire.Note, 1, make([]byte, wire.MaxPayload))
		}
		wg.Go(func() { o.waitFor(most) })
		close(closed)
		ours.Close()
		theirs.Close()
		wg.Wait()
	})
}

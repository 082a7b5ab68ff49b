package session

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"sync"
	"testing"

	"github.com/fleetinglambda/flame/internal/wire"
)

// joined returns a session, and a runner's end that reads only what the test reads.
func joined(t *testing.T) (*Session, *Server) {
	t.Helper()
	ours, theirs := sockets(t)
	var server *Server
	var failed error
	var wg sync.WaitGroup
	wg.Go(func() { server, failed = Join(t.Context(), theirs, hello, anything) })
	s, err := Accept(t.Context(), ours, "r1", welcome, DefaultLimits)
	wg.Wait()
	if err := errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		theirs.Close()
		s.Close()
	})
	return s, server
}

// A call's message is written from where it is. Once the call is released that memory is its owner's again, also if a part of it
// is on its way.
func TestReleasedMemoryIsNotSent(t *testing.T) {
	// Given a large call that fills the connection to a runner that does not read.
	s, runner := joined(t)
	msg := bytes.Repeat([]byte("before"), 1<<20)
	var got Result
	c := &Call{Ended: func(r Result) { got = r }, Attended: true}
	if err := s.Send(c, [][]byte{msg}, 0); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { s.Wait(c) })
	for full := false; !full; runtime.Gosched() {
		s.out.mu.Lock()
		full = s.out.loads > 1 && s.out.rest.left > 0 && !s.out.writing
		s.out.mu.Unlock()
	}
	// When it is released and its memory used for something else.
	s.Release(c)
	copy(msg, bytes.Repeat([]byte("AFTER!"), 1<<20))
	wg.Wait()
	// Then what arrives is what was there before, and the end of it.
	var came []byte
	for {
		f, err := runner.in.Next()
		if err != nil {
			t.Fatal(err)
		}
		if f.Kind == wire.Abandon {
			break
		}
		if f.Kind == wire.Chunk {
			came = append(came, f.Payload...)
		}
	}
	if len(came) == 0 || bytes.ContainsAny(came, "AFTER!") || got.Started || got.Lost {
		t.Errorf("%d bytes have come, %d of them later ones; %v", len(came), bytes.Count(came, []byte("A")), got)
	}
}

// A result that comes before all of its call has left would give the caller memory that is still being written.
func TestResultBeforeItsCallHasLeftIsCorrupt(t *testing.T) {
	s, runner := joined(t)
	msg := make([]byte, 8<<20)
	var got Result
	c := &Call{Ended: func(r Result) { got = r }, Attended: true}
	if err := s.Send(c, [][]byte{msg}, 0); err != nil {
		t.Fatal(err)
	}
	head := wire.AppendResultHead(nil, wire.ResultHead{})
	if _, err := runner.conn.Write(wire.AppendFrame(nil, wire.Result, c.id, head)); err != nil {
		t.Fatal(err)
	}
	s.Wait(c)
	if err := s.Err(); !errors.Is(err, wire.ErrCorrupt) || !got.Lost || got.Started {
		t.Errorf("the session: %v; the call: %+v", err, got)
	}
}

// What only claims to be large takes no memory.
func TestMemoryIsMadeForWhatHasCome(t *testing.T) {
	var made []int
	a := arrival{}
	a.begin(1<<40, []byte("first"), func(n int) []byte {
		made = append(made, n)
		return make([]byte, 0, n)
	})
	for came := 5; came < 3*firstRoom; came += wire.MaxPayload {
		if n := made[len(made)-1]; n > 2*max(firstRoom, 2*moreRoom*came) {
			t.Fatalf("%d bytes for %d", n, came)
		}
		if !a.take(wire.Frame{Payload: make([]byte, wire.MaxPayload)}) {
			t.Fatal("a chunk was not taken")
		}
	}
	if len(made) != 2 {
		t.Errorf("memory was made %d times, want 2", len(made))
	}
}

// Two messages, each of which fills the connection, pass each other.
func TestLargeMessagesPassEachOther(t *testing.T) {
	overEachConnection(t, func(t *testing.T, parent, runner io.ReadWriteCloser) {
		msg := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
		s, _ := connect(t, parent, runner, func(in *Incoming) { in.Reply([][]byte{in.Data[:1], msg, in.Data}) })
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 5 {
					r, err := do(s, msg)
					if err != nil || len(r.Data) != 1+2*len(msg) || !bytes.Equal(r.Data[1:1+len(msg)], msg) || !bytes.Equal(r.Data[1+len(msg):], msg) {
						t.Errorf("%d bytes came back, %v", len(r.Data), err)
					}
				}
			})
		}
		wg.Wait()
	})
}

package session

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/fleetinglambda/flame/internal/wire"
)

// TestNotesGoBothWaysInOrder has a runner send every note back, and answer when the last one has come. The call is one
// frame or many: notes never overtake it.
func TestNotesGoBothWaysInOrder(t *testing.T) {
	const n = 100
	overEachConnection(t, func(t *testing.T, parent, runner io.ReadWriteCloser) {
		s, _ := connect(t, parent, runner, func(in *Incoming) {
			last := make(chan struct{})
			in.Listen(func(note []byte) {
				in.Note(bytes.ToUpper(note))
				if bytes.HasSuffix(note, []byte(" last")) {
					close(last)
				}
			})
			<-last
			in.Reply(nil)
			if in.Note([]byte("late")) {
				t.Error("a note was taken after the answer")
			}
		})
		for _, size := range []int{10, 1 << 20} {
			var heard []string
			ended := make(chan Result, 1)
			c := &Call{Ended: func(r Result) { ended <- r }, Noted: func(note []byte) { heard = append(heard, string(note)) }}
			if err := s.Send(c, [][]byte{make([]byte, size)}, 0); err != nil {
				t.Fatal(err)
			}
			for i := range n {
				s.Note(c, fmt.Appendf(nil, "note %d", i))
			}
			s.Note(c, []byte("the last"))
			if r := <-ended; r.Lost {
				t.Fatalf("lost: %v", s.Err())
			}
			if len(heard) != n+1 || heard[7] != "NOTE 7" || heard[n] != "THE LAST" {
				t.Errorf("a call of %d bytes: %d notes, %q", size, len(heard), heard)
			}
			s.Note(c, []byte("to nobody"))
		}
	})
}

// TestANoteThatNobodyWaitsForEndsTheSession: a runner may only speak of what its own live calls were lent.
func TestANoteThatNobodyWaitsForEndsTheSession(t *testing.T) {
	overEachConnection(t, func(t *testing.T, parent, runner io.ReadWriteCloser) {
		s, _ := connect(t, parent, runner, func(in *Incoming) {
			in.Note([]byte("of nothing"))
			in.Reply(nil)
		})
		r, err := do(s, nil)
		if err != nil || !r.Lost || !errors.Is(s.Err(), wire.ErrCorrupt) || !strings.Contains(s.Err().Error(), "lent nothing") {
			t.Errorf("%+v, %v; the session: %v", r, err, s.Err())
		}
	})
}

// TestBacklogCountsWhatIsNotWritten has a parent that does not read.
func TestBacklogCountsWhatIsNotWritten(t *testing.T) {
	parent, runner := sockets(t)
	defer parent.Close()
	v := newServer(newCarrier(runner), DefaultLimits)
	var wg sync.WaitGroup
	wg.Go(v.out.run)
	in := &Incoming{server: v, id: 1}
	for range 64 {
		in.Note(make([]byte, wire.MaxPayload))
	}
	if n := in.Backlog(); n < wire.MaxPayload {
		t.Errorf("a backlog of %d bytes", n)
	}
	v.Close()
	wg.Wait()
}

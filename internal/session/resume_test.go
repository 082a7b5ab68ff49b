package session

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetinglambda/flame/internal/line"
	"github.com/fleetinglambda/flame/internal/wire"
)

// breaking is what the two ends of a session run over here: pipes that count bytes, and break behind one of them.
type breaking struct {
	parent, runner *line.Line

	mu      sync.Mutex
	left    [2]int // bytes to the runner, and to the parent, until the next cut; negative: none
	carried [2]int
	made    int
}

// end is one end of a pipe.
type end struct {
	net.Conn
	of  *breaking
	way int
}

func (e end) Write(b []byte) (int, error) {
	n, cut := e.of.count(len(b), e.way)
	n, err := e.Conn.Write(b[:n])
	if cut {
		e.Close()
		return n, net.ErrClosed
	}
	return n, err
}

func (k *breaking) count(n, way int) (passes int, cut bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if cut = k.left[way] >= 0 && n >= k.left[way]; cut {
		n = k.left[way]
		k.left[way] = -1
	} else if k.left[way] >= 0 {
		k.left[way] -= n
	}
	k.carried[way] += n
	return n, cut
}

func (k *breaking) cutAfter(n, way int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.left = [2]int{-1, -1}
	k.left[way] = n
}

// sofar returns how many bytes have gone each way, and how many connections there were.
func (k *breaking) sofar() (carried [2]int, made int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.carried, k.made
}

func (k *breaking) pipe() (parent, runner net.Conn) {
	k.mu.Lock()
	k.made++
	k.mu.Unlock()
	p, r := net.Pipe()
	return end{p, k, 0}, end{r, k, 1}
}

func newBreaking() *breaking {
	k := &breaking{left: [2]int{-1, -1}}
	c := line.Config{Silence: 5 * time.Second, Window: 10 * time.Second}
	parent, runner := k.pipe()
	k.parent = line.New(parent, c)
	c.Dial = func(_ context.Context, received int64) (net.Conn, int64, error) {
		parent, runner := k.pipe()
		var theirs int64
		err := k.parent.Resume(parent, received, func(mine int64) error { theirs = mine; return nil })
		return runner, theirs, err
	}
	k.runner = line.New(runner, c)
	return k
}

// talk is one call whose message and result take many frames, with notes both ways, which the runner answers with what it
// got. It says what is wrong with the outcome.
func talk(s *Session, message []byte) error {
	const notes = 5
	var heard []string
	results := make(chan Result, 2)
	c := &Call{Ended: func(r Result) { results <- r }, Noted: func(note []byte) { heard = append(heard, string(note)) }}
	if err := s.Send(c, [][]byte{message}, 0); err != nil {
		return err
	}
	for i := range notes {
		s.Note(c, fmt.Appendf(nil, "%d", i))
	}
	s.Wait(c)
	r := <-results
	switch {
	case r.Lost || !bytes.Equal(r.Data, message):
		return fmt.Errorf("%d bytes came back, lost: %v, %v", len(r.Data), r.Lost, s.Err())
	case !slices.Equal(heard, []string{"0", "1", "2", "3", "4"}):
		return fmt.Errorf("the notes are %q", heard)
	case len(results) > 0:
		return fmt.Errorf("a second result")
	}
	return nil
}

// answerTalk is the runner's part. It counts how often it was called.
func answerTalk(runs *int) func(in *Incoming) {
	return func(in *Incoming) {
		*runs++
		last := make(chan struct{})
		in.Listen(func(note []byte) {
			in.Note(note)
			if string(note) == "4" {
				close(last)
			}
		})
		<-last
		in.Reply([][]byte{in.Data})
	}
}

// everyCut has the connection cut behind every byte of a talk, and not only behind those where most happens.
var everyCut = flag.Bool("everycut", false, "cut the connection behind every byte")

// next returns where the next cut is after one of so many places.
func next(at, places int) int {
	if !*everyCut && at > 500 && at < places-500 {
		return at + 97
	}
	return at + 1
}

func TestN05_ACutBehindAnyByteOfATalkLeavesItsOutcomeAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newBreaking()
		runs, want := 0, 1
		s, _ := connect(t, k.parent, k.runner, answerTalk(&runs))
		message := make([]byte, wire.MaxPayload+1000)
		for i := range message {
			message[i] = byte(i >> 8 * 5)
		}
		before, _ := k.sofar()
		if err := talk(s, message); err != nil {
			t.Fatal(err)
		}
		after, _ := k.sofar()
		total := [2]int{after[0] - before[0], after[1] - before[1]}
		for way := range 2 {
			for at := 0; at <= total[way]; at = next(at, total[way]) {
				k.cutAfter(at, way)
				if err := talk(s, message); err != nil {
					t.Fatalf("cut after %d bytes, way %d: %v", at, way, err)
				}
				if want++; runs != want {
					t.Fatalf("cut after %d bytes, way %d: the function ran %d times for %d calls", at, way, runs, want)
				}
			}
		}
		_, made := k.sofar()
		if made < want/2 {
			t.Errorf("%d connections for %d calls", made, want)
		}
		t.Logf("%d calls over %d connections", want, made)
	})
}

func TestN05_ASessionIsAwayAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newBreaking()
		runs := 0
		s, v := connect(t, k.parent, k.runner, answerTalk(&runs))
		if s.Turned() == nil || s.Away() {
			t.Fatal("it is away")
		}
		k.parent.Final()
		k.cutAfter(0, 0)
		if err := talk(s, nil); err == nil {
			t.Error("it goes on although nobody can come back")
		}
		<-v.Done()
		if !Abandoned(v.Err()) || Abandoned(s.Err()) || s.Away() {
			t.Errorf("runner's end: %v; parent's end: %v", v.Err(), s.Err())
		}
	})
}

package dialback

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/fleetinglambda/flame/internal/line"
)

// intruder is somebody who has to do with the runner that is in, and dials.
type intruder struct {
	t       *testing.T
	l       *Listener
	ticket  *Ticket
	runner  *line.Line
	parent  *line.Line
	key     [proofSize]byte // the runner's
	another [proofSize]byte // of another runner that is in, too
}

// intrude lets two runners in and returns what is known of them.
func intrude(t *testing.T) *intruder {
	t.Helper()
	l, ticket := expect(t)
	i := &intruder{t: t, l: l, ticket: ticket}
	i.parent, i.runner = arrive(t, l, ticket)
	second, err := l.Expect(t.Context(), "r-2", "127.0.0.1", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	other := claims
	other.Runner = "r-2"
	r2, err := Dial(t.Context(), second, other)
	if err != nil {
		t.Fatal(err)
	}
	p2, err := l.Wait(t.Context(), "r-2", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r2.Close(); p2.Close() })
	l.mu.Lock()
	defer l.mu.Unlock()
	i.key, i.another = l.members["r-1"].key, l.members["r-2"].key
	return i
}

// dial sends what it likes and returns what it is answered.
func (i *intruder) dial(say func(connection) (*arrival, error)) (answer int64, err error) {
	conn, err := i.ticket.dial(i.t.Context(), func(conn connection) error {
		a, err := say(conn)
		if err == nil {
			err = a.write(conn)
		}
		if err == nil {
			answer, err = readAnswer(conn)
		}
		return err
	})
	if err == nil {
		conn.Close()
	}
	return answer, err
}

// claim is what a runner that was here claims, with the proof that a key makes.
func claim(conn connection, c Claims, key [proofSize]byte, count uint64, received int64) (*arrival, error) {
	a := &arrival{Claims: c, again: true, count: count, received: received}
	var err error
	a.proof, err = proofAgain(key, conn.Conn, c.Pool, a)
	return a, err
}

// goesOn says whether the line of the runner still works.
func (i *intruder) goesOn() error {
	for _, ends := range [][2]*line.Line{{i.parent, i.runner}, {i.runner, i.parent}} {
		got := make([]byte, 5)
		if _, err := ends[0].Write([]byte("hello")); err != nil {
			return err
		}
		if _, err := io.ReadFull(ends[1], got); err != nil || string(got) != "hello" {
			return errors.Join(err, errors.New(string(got)))
		}
	}
	return nil
}

func TestT04_WhoHasTheRunnersKeyIsTakenForIt(t *testing.T) { // or the tests below prove nothing
	i := intrude(t)
	answer, err := i.dial(func(conn connection) (*arrival, error) { return claim(conn, claims, i.key, 1, 0) })
	if err != nil || answer == refused {
		t.Errorf("%d, %v", answer, err)
	}
}

func TestT04_AFalseReturnIsRefused(t *testing.T) {
	i := intrude(t)
	for name, say := range map[string]func(connection) (*arrival, error){
		"no key": func(conn connection) (*arrival, error) { return claim(conn, claims, [proofSize]byte{}, 9, 0) },
		"another runner's key": func(conn connection) (*arrival, error) {
			return claim(conn, claims, i.another, 9, 0)
		},
		"the ticket's secret alone": func(conn connection) (*arrival, error) {
			key, err := i.ticket.key(conn.Conn, claims) // of this connection, not of the first
			if err != nil {
				return nil, err
			}
			return claim(conn, claims, key, 9, 0)
		},
		"the ticket's proof": func(conn connection) (*arrival, error) {
			a := &arrival{Claims: claims, again: true, count: 9}
			var err error
			a.proof, err = i.ticket.proof(conn.Conn, claims)
			return a, err
		},
		"a runner that is not here": func(conn connection) (*arrival, error) {
			return claim(conn, Claims{"r-3", claims.Pool, claims.Build}, i.key, 9, 0)
		},
		"another pool's": func(conn connection) (*arrival, error) {
			return claim(conn, Claims{"r-1", "other", "build"}, i.key, 9, 0)
		},
		"another build's": func(conn connection) (*arrival, error) {
			return claim(conn, Claims{"r-1", "test", "another"}, i.key, 9, 0)
		},
		"another place than was proved": func(conn connection) (*arrival, error) {
			a, err := claim(conn, claims, i.key, 9, 0)
			a.received++
			return a, err
		},
		"a later count than was proved": func(conn connection) (*arrival, error) {
			a, err := claim(conn, claims, i.key, 9, 0)
			a.count++
			return a, err
		},
		"a count of nothing": func(conn connection) (*arrival, error) { return claim(conn, claims, i.key, 0, 0) },
	} {
		if answer, err := i.dial(say); err != nil || answer != refused {
			t.Errorf("%s: %d, %v", name, answer, err)
		}
		if err := i.goesOn(); err != nil {
			t.Fatalf("after %s: %v", name, err)
		}
	}
}

func TestT04_AProofOfReturnIsGoodOnce(t *testing.T) {
	i := intrude(t)
	var said *arrival
	say := func(count uint64) func(connection) (*arrival, error) {
		return func(conn connection) (a *arrival, err error) {
			said, err = claim(conn, claims, i.key, count, 0)
			return said, err
		}
	}
	for _, c := range []struct {
		count uint64
		is    bool
	}{{5, true}, {5, false}, {4, false}, {6, true}} {
		if answer, err := i.dial(say(c.count)); err != nil || (answer != refused) != c.is {
			t.Errorf("count %d: %d, %v", c.count, answer, err)
		}
	}
	if answer, err := i.dial(func(connection) (*arrival, error) { return said, nil }); err != nil || answer != refused {
		t.Errorf("the same bytes on another connection: %d, %v", answer, err)
	}
}

func TestT04_AReturnThatIsPassedOnIsRefused(t *testing.T) {
	i := intrude(t)
	mallory, err := tls.Listen("tcp", "127.0.0.1:0", i.l.config) // he has got hold of the parent's key
	if err != nil {
		t.Fatal(err)
	}
	defer mallory.Close()
	lured := *i.ticket
	lured.Addr = mallory.Addr().String()
	var runner sync.WaitGroup
	defer runner.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := returner{ticket: &lured, claims: claims, key: i.key}
	runner.Go(func() {
		if _, _, err := r.dial(ctx, 0); err == nil {
			t.Error("the runner took him for its parent without an answer")
		}
	})
	from, err := mallory.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	a, err := readArrival(from)
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := i.dial(func(connection) (*arrival, error) { return &a, nil }); err != nil || answer != refused {
		t.Errorf("%d, %v", answer, err)
	}
	cancel()
	if err := i.goesOn(); err != nil {
		t.Error(err)
	}
}

func TestN05_WhoIsNotKnownAnyMoreGivesUpAtOnce(t *testing.T) {
	i := intrude(t)
	i.l.mu.Lock()
	m := i.l.members["r-1"]
	delete(i.l.members, "r-1")
	i.l.mu.Unlock()
	begin := time.Now()
	m.line.Final() // as if the parent's window had ended
	if err := m.line.Resume(nil, 0, func(int64) error { return errors.New("nobody") }); err == nil {
		t.Fatal("it goes on")
	}
	_, err := i.runner.Read(make([]byte, 1))
	if took := time.Since(begin); !errors.Is(err, line.ErrRefused) || took > window/2 {
		t.Errorf("after %v: %v", took, err)
	}
}

func TestT01_ThePortStaysOpenForARunnerThatIsAway(t *testing.T) {
	l, ticket := expect(t)
	parent, runner := arrive(t, l, ticket)
	var reads sync.WaitGroup
	for _, end := range []*line.Line{parent, runner} {
		reads.Go(func() { _, _ = io.Copy(io.Discard, end) })
	}
	l.mu.Lock()
	g, m := l.expected["r-1"], l.members["r-1"]
	l.mu.Unlock()
	l.forget("r-1", g)
	reachable := func() bool {
		conn, err := net.Dial("tcp", ticket.Addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}
	// Given a runner that is away and cannot come back,
	err := m.line.Resume(nil, 0, func(int64) error { return errors.New("nobody") })
	if err == nil || !reachable() {
		t.Errorf("the port is closed while it is away: %v", err)
	}
	// when it is lost, then nobody is let in any more.
	parent.Close()
	if reachable() {
		t.Error("the port is open although nobody is expected or there")
	}
	runner.Close()
	reads.Wait()
}

func FuzzWhatAParentAnswers(f *testing.F) {
	f.Add([]byte{255, 255, 255, 255, 255, 255, 255, 255})
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 9, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		received, err := readAnswer(bytes.NewReader(b))
		var again bytes.Buffer
		if err == nil && (writeAnswer(&again, received) != nil || !bytes.HasPrefix(b, again.Bytes())) {
			t.Errorf("%x was read as %d", b, received)
		}
	})
}

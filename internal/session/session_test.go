package session

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetinglambda/flame/internal/wire"
)

// echo answers every call with its own message.
func echo(in *Incoming) { in.Reply([][]byte{in.Data}) }

// untilCancelled answers when its context ends, with the reason.
func untilCancelled(in *Incoming) {
	ctx := in.Context()
	<-ctx.Done()
	in.Reply([][]byte{[]byte(ctx.Err().Error())})
}

var (
	welcome = Welcome{Build: "b1", Message: 1 << 30, Silence: DefaultLimits.Silence}
	hello   = Hello{Runner: "r1", Build: "b1", PID: 1}
)

func anything(Welcome) error { return nil }

// connect joins two ends over conns and returns the parent's; the other one serves with handle.
func connect(t *testing.T, parent, runner io.ReadWriteCloser, handle func(*Incoming)) (*Session, *Server) {
	t.Helper()
	var server *Server
	var wg sync.WaitGroup
	joined := make(chan error, 1)
	wg.Go(func() {
		v, err := Join(t.Context(), runner, hello, anything)
		server = v
		joined <- err
		if err == nil {
			v.Serve(handle)
			v.Wait()
		}
	})
	s, err := Accept(t.Context(), parent, "r1", welcome, DefaultLimits)
	if err := errors.Join(err, <-joined); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		wg.Wait()
	})
	return s, server
}

// sockets returns the two ends of a socketpair.
func sockets(t testing.TB) (parent, runner io.ReadWriteCloser) {
	t.Helper()
	fds, err := socketpair()
	if err != nil {
		t.Skip("no socketpair on this system: ", err)
	}
	ends := [2]io.ReadWriteCloser{}
	for i, fd := range fds {
		if ends[i], err = Socket(os.NewFile(uintptr(fd), "socket")); err != nil {
			t.Fatal(err)
		}
	}
	return ends[0], ends[1]
}

// do sends a message and waits for the answer.
func do(s *Session, msg []byte) (Result, error) {
	var r Result
	c := &Call{Ended: func(got Result) { r = got }, Key: 1, Attended: true}
	if err := s.Send(c, [][]byte{msg}, 0); err != nil {
		return r, err
	}
	s.Wait(c)
	return r, nil
}

func overEachConnection(t *testing.T, f func(t *testing.T, parent, runner io.ReadWriteCloser)) {
	t.Run("socket", func(t *testing.T) {
		p, r := sockets(t)
		f(t, p, r)
	})
	t.Run("pipe", func(t *testing.T) {
		p, r := net.Pipe()
		f(t, p, r)
	})
	t.Run("no deadlines", func(t *testing.T) {
		p, r := net.Pipe()
		f(t, struct{ io.ReadWriteCloser }{p}, struct{ io.ReadWriteCloser }{r})
	})
}

func TestMessagesOfEverySizeComeBackEqual(t *testing.T) {
	overEachConnection(t, func(t *testing.T, parent, runner io.ReadWriteCloser) {
		s, _ := connect(t, parent, runner, echo)
		for _, size := range []int{0, 1, 100, 65499, 65500, 65501, 65536, 1 << 20, 5 << 20} {
			msg := make([]byte, size)
			rand.Read(msg)
			r, err := do(s, msg)
			if err != nil || !bytes.Equal(r.Data, msg) {
				t.Fatalf("%d bytes: %d came back, %v", size, len(r.Data), err)
			}
		}
	})
}

func TestManyCallersAtOnceGetTheirOwnAnswers(t *testing.T) {
	overEachConnection(t, func(t *testing.T, parent, runner io.ReadWriteCloser) {
		s, _ := connect(t, parent, runner, echo)
		var wg sync.WaitGroup
		for i := range 32 {
			wg.Go(func() {
				for j := range 200 {
					msg := fmt.Appendf(nil, "%d/%d", i, j)
					if j%50 == 0 {
						msg = bytes.Repeat(msg, 40_000)
					}
					if r, err := do(s, msg); err != nil || !bytes.Equal(r.Data, msg) {
						t.Errorf("call %d/%d: %d bytes of %d, %v", i, j, len(r.Data), len(msg), err)
						return
					}
				}
			})
		}
		wg.Wait()
	})
}

func TestFunctionThatEndsItsGoroutineHoldsNothingUp(t *testing.T) {
	p, r := sockets(t)
	s, _ := connect(t, p, r, func(in *Incoming) {
		defer in.Reply([][]byte{[]byte("over")})
		if string(in.Data) == "exit" {
			runtime.Goexit()
		}
	})
	for i := range 50 { // quick by now, so that it runs on the reading goroutine
		msg := []byte("return")
		if i > 30 {
			msg = []byte("exit")
		}
		if r, err := do(s, msg); err != nil || string(r.Data) != "over" {
			t.Fatalf("call %d: %q, %v", i, r.Data, err)
		}
	}
}

func TestQuickFunctionThatLastsHoldsNobodyUp(t *testing.T) {
	p, r := sockets(t)
	release := make(chan struct{})
	s, v := connect(t, p, r, func(in *Incoming) {
		if string(in.Data) == "last" {
			<-release
		}
		in.Reply(nil)
	})
	for v.isQuick(1) == false {
		do(s, nil)
	}
	ended := make(chan Result, 1)
	s.Send(&Call{Key: 1, Ended: func(r Result) { ended <- r }}, [][]byte{[]byte("last")}, 0)
	for range 10 {
		do(s, nil)
	}
	select {
	case <-ended:
		t.Fatal("the function that lasts is over")
	default:
	}
	close(release)
	<-ended
}

func TestCancelReachesTheFunction(t *testing.T) {
	overEachConnection(t, func(t *testing.T, parent, runner io.ReadWriteCloser) {
		s, _ := connect(t, parent, runner, untilCancelled)
		ended := make(chan Result, 1)
		c := &Call{Ended: func(r Result) { ended <- r }}
		s.Send(c, nil, 0)
		s.Cancel(c)
		if r := <-ended; string(r.Data) != "context canceled" {
			t.Fatalf("%q", r.Data)
		}
	})
}

func TestReleaseLetsACallerGoWhoReads(t *testing.T) {
	overEachConnection(t, func(t *testing.T, parent, runner io.ReadWriteCloser) {
		s, _ := connect(t, parent, runner, untilCancelled)
		ended := make(chan Result, 1)
		c := &Call{Ended: func(r Result) { ended <- r }, Attended: true}
		s.Send(c, nil, 0)
		var wg sync.WaitGroup
		wg.Go(func() { s.Release(c) })
		s.Wait(c)
		wg.Wait()
		select {
		case <-ended:
			t.Fatal("the call is over")
		default:
		}
		s.Cancel(c)
		<-ended
	})
}

func TestB06_DeadlineCrossesAsTimeLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, r := net.Pipe()
		s, _ := connect(t, p, r, untilCancelled)
		var got Result
		start := time.Now()
		c := &Call{Ended: func(r Result) { got = r }, Attended: true}
		s.Send(c, nil, 90*time.Second)
		s.Wait(c)
		if took := time.Since(start); took != 90*time.Second || string(got.Data) != "context deadline exceeded" {
			t.Fatalf("after %v: %q", took, got.Data)
		}
	})
}

func TestAnHourOfIdlenessKeepsASessionUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, r := net.Pipe()
		s, _ := connect(t, p, r, echo)
		do(s, nil)
		time.Sleep(time.Hour) // virtual
		if r, err := do(s, []byte("x")); err != nil || string(r.Data) != "x" {
			t.Fatalf("after an hour: %q, %v", r.Data, err)
		}
	})
}

// mute drops what is written after the handshake, as a network that has lost its route does.
type mute struct {
	net.Conn
	on *atomic.Bool
}

func (m mute) Write(b []byte) (int, error) {
	if m.on.Load() {
		return len(b), nil
	}
	return m.Conn.Write(b)
}

func TestN05_SilenceEndsASessionOnBothSidesIn15Seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, r := net.Pipe()
		on := new(atomic.Bool)
		s, v := connect(t, mute{p, on}, mute{r, on}, echo)
		do(s, nil)
		on.Store(true)
		start := time.Now()
		<-s.Done()
		<-v.Done()
		if took := time.Since(start); took > 15*time.Second {
			t.Errorf("found after %v", took)
		}
		if !errors.Is(s.Err(), ErrSilent) && !errors.Is(v.Err(), ErrSilent) { // who finds it second finds a closed connection
			t.Errorf("parent's end: %v, runner's end: %v", s.Err(), v.Err())
		}
	})
}

func TestLostSessionEndsItsCalls(t *testing.T) {
	overEachConnection(t, func(t *testing.T, parent, runner io.ReadWriteCloser) {
		started := make(chan struct{})
		s, _ := connect(t, parent, runner, func(in *Incoming) {
			close(started)
			untilCancelled(in)
		})
		var wg sync.WaitGroup
		wg.Go(func() {
			<-started
			runner.Close()
		})
		r, err := do(s, nil)
		if err != nil || !r.Lost || !r.Started {
			t.Errorf("the call that ran: %+v, %v", r, err)
		}
		<-s.Done()
		if _, err := do(s, nil); err == nil {
			t.Error("a call after the end was sent")
		}
		wg.Wait()
	})
}

func TestUnsentCallIsTakenBackByCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, r := net.Pipe()
		stuck := make(chan struct{})
		s, _ := connect(t, &stoppable{Conn: p, stop: stuck}, r, echo)
		stuck <- struct{}{}
		ended := make(chan Result, 2)
		first := &Call{Ended: func(r Result) { ended <- r }}
		s.Send(first, [][]byte{make([]byte, 10<<20)}, 0)
		synctest.Wait()
		s.Cancel(first)
		if r := <-ended; r.Lost || r.Started {
			t.Fatalf("the call taken back: %+v", r)
		}
		<-stuck
		if r, err := do(s, []byte("next")); err != nil || string(r.Data) != "next" {
			t.Fatalf("the call after it: %q, %v", r.Data, err)
		}
	})
}

// stoppable is a connection on which the next write blocks between a send to stop and a receive from it.
type stoppable struct {
	net.Conn
	stop chan struct{}
}

func (s *stoppable) Write(b []byte) (int, error) {
	select {
	case <-s.stop:
		s.stop <- struct{}{}
	default:
	}
	return s.Conn.Write(b)
}

func TestDrainWaitsForTheLastResult(t *testing.T) {
	overEachConnection(t, func(t *testing.T, parent, runner io.ReadWriteCloser) {
		finish := make(chan struct{})
		s, v := connect(t, parent, runner, func(in *Incoming) {
			<-finish
			echo(in)
		})
		ended := make(chan Result, 1)
		big := make([]byte, 3<<20)
		s.Send(&Call{Ended: func(r Result) { ended <- r }}, [][]byte{big}, 0)
		s.Drain()
		close(finish)
		if r := <-ended; r.Lost || len(r.Data) != len(big) {
			t.Fatalf("the last call: lost %v, %d bytes", r.Lost, len(r.Data))
		}
		<-v.Done()
		if v.Err() != nil {
			t.Errorf("the runner's end: %v", v.Err())
		}
	})
}

func TestF17_HandshakeRefusesWhatIsNotExpected(t *testing.T) {
	with := func(change func(*Hello)) Hello {
		h := hello
		change(&h)
		return h
	}
	for name, tc := range map[string]struct {
		hello Hello
		have  func(Welcome) error
		want  string
	}{
		"another build":  {with(func(h *Hello) { h.Build = "b2" }), anything, `the runner is build "b2", its parent is build "b1"`},
		"another runner": {with(func(h *Hello) { h.Runner = "r2" }), anything, `runner "r2" answered where "r1" was expected`},
		"a missing name": {hello, func(Welcome) error { return errors.New(`PerProcess("db") is missing`) }, `PerProcess("db") is missing`},
	} {
		p, r := net.Pipe()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := Join(t.Context(), r, tc.hello, tc.have); err == nil || !strings.Contains(err.Error(), tc.want) && name != "a missing name" {
				t.Errorf("%s: the runner's side says %v", name, err)
			}
		})
		_, err := Accept(t.Context(), p, "r1", welcome, DefaultLimits)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: the parent's side says %v", name, err)
		}
		wg.Wait()
	}
}

func TestAParentThatLeavesDuringTheHandshakeHasHungUp(t *testing.T) {
	for name, leave := range map[string]func(parent net.Conn){
		"at once":         func(net.Conn) {},
		"when it is told": func(parent net.Conn) { parent.Read(make([]byte, 1<<10)) },
		"when it has welcomed": func(parent net.Conn) {
			c := newCarrier(parent)
			c.receive(wire.Hello, wire.MaxPayload, new(Hello))
			c.send(wire.Welcome, welcome)
		},
	} {
		parent, runner := net.Pipe()
		var wg sync.WaitGroup
		wg.Go(func() {
			leave(parent)
			parent.Close()
		})
		if _, err := Join(t.Context(), runner, hello, anything); !errors.Is(err, ErrHungUp) {
			t.Errorf("%s: %v", name, err)
		}
		wg.Wait()
	}
}

func TestHandshakeWithGarbageOrSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, tc := range map[string]struct {
			send string
			want string
		}{
			"a web browser":  {"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "not a flame program"},
			"hanging up":     {"", "hung up"},
			"an early frame": {string(bytes.Repeat([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0}, 2)), "kind 6"},
		} {
			p, r := net.Pipe()
			var wg sync.WaitGroup
			wg.Go(func() {
				io.WriteString(r, tc.send)
				r.Close()
			})
			_, err := Accept(t.Context(), p, "r1", welcome, DefaultLimits)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: %v", name, err)
			}
			wg.Wait()
		}
		p, _ := net.Pipe()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := Accept(ctx, p, "r1", welcome, DefaultLimits); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("silence: %v", err)
		}
	})
}

func BenchmarkEmptyCall(b *testing.B) {
	parent, runner := sockets(b)
	var wg sync.WaitGroup
	wg.Go(func() {
		v, err := Join(b.Context(), runner, hello, anything)
		if err == nil {
			v.Serve(echo)
			v.Wait()
		}
	})
	s, err := Accept(b.Context(), parent, "r1", welcome, DefaultLimits)
	if err != nil {
		b.Fatal(err)
	}
	msg := make([]byte, 64)
	b.Run("1", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			do(s, msg)
		}
	})
	b.Run("64", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				do(s, msg)
			}
		})
	})
	s.Close()
	wg.Wait()
}

package dialback

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetinglambda/flame/internal/line"
)

// claims are what the runner of these tests says of itself.
var claims = Claims{Runner: "r-1", Pool: "test", Build: "build"}

// window is how long the runners of these tests may be away.
const window = 2 * time.Second

// expect returns a listener and the ticket for one runner.
func expect(t *testing.T) (*Listener, *Ticket) {
	t.Helper()
	l, err := New("test", window)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	ticket, err := l.Expect(ctx, "r-1", "127.0.0.1", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	return l, ticket
}

// arrive has the runner of the ticket dial and the parent wait for it, and returns both ends.
func arrive(t *testing.T, l *Listener, ticket *Ticket) (parent, runner *line.Line) {
	t.Helper()
	runner, err := Dial(t.Context(), ticket, claims)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if parent, err = l.Wait(ctx, "r-1", nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { parent.Close(); runner.Close() })
	return parent, runner
}

func TestARunnerReachesItsParentAndBothHearEachOther(t *testing.T) {
	l, ticket := expect(t)
	travelled, err := Read(ticket.Written())
	if err != nil {
		t.Fatal(err)
	}
	parent, runner := arrive(t, l, travelled)
	for _, ends := range [][2]*line.Line{{parent, runner}, {runner, parent}} {
		got := make([]byte, 5)
		if _, err := ends[0].Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(ends[1], got); err != nil || string(got) != "hello" {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	parent.Close()
	if _, err := runner.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a closed connection ends with %v", err)
	}
}

// dialAs dials like a runner that has these things, and returns an error unless it is let in.
func dialAs(t *testing.T, ticket *Ticket, c Claims) error {
	t.Helper()
	conn, err := ticket.dial(t.Context(), func(conn connection) (err error) {
		a := arrival{Claims: c}
		if a.proof, err = ticket.proof(conn.Conn, c); err != nil {
			return err
		}
		return a.write(conn)
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(2 * time.Second))
	if _, err = conn.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}

func TestT04_ATicketLetsOneRunnerInAndOnlyOnce(t *testing.T) {
	for _, c := range []struct {
		name string
		with func(*Ticket, *Claims)
	}{
		{"another secret", func(t *Ticket, _ *Claims) { t.secret[7] ^= 1 }},
		{"another runner", func(_ *Ticket, c *Claims) { c.Runner = "r-2" }},
		{"another pool", func(_ *Ticket, c *Claims) { c.Pool = "other" }},
		{"a longer life", func(t *Ticket, _ *Claims) { t.Expires = t.Expires.Add(time.Hour) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, ticket := expect(t)
			wrong, claimed := *ticket, claims
			c.with(&wrong, &claimed)
			if err := dialAs(t, &wrong, claimed); err != io.EOF && !isReset(err) {
				t.Errorf("it was not shut out without a word: %v", err)
			}
			arrive(t, l, ticket) // the right one is
			if err := dialAs(t, ticket, claims); err != io.EOF && !isReset(err) {
				t.Errorf("the ticket was good twice: %v", err)
			}
		})
	}
}

func isReset(err error) bool { return err != nil && strings.Contains(err.Error(), "reset") }

func TestF17_AnotherBuildIsLetInToBeToldSo(t *testing.T) {
	l, ticket := expect(t)
	other := claims
	other.Build = "another build"
	conn, err := Dial(t.Context(), ticket, other)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	parent, err := l.Wait(t.Context(), "r-1", nil)
	if err != nil {
		t.Fatal(err)
	}
	parent.Close()
}

func TestT04_ATicketExpiresWithTheBoot(t *testing.T) {
	l, err := New("test", window)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ticket, err := l.Expect(ctx, "r-1", "127.0.0.1", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	still, err := l.Expect(t.Context(), "r-2", "127.0.0.1", "127.0.0.1") // keeps the port open
	if err != nil || still.Addr != ticket.Addr {
		t.Fatal(still, err)
	}
	cancel()
	eventually(t, "it is forgotten", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.expected["r-1"] == nil
	})
	if err := dialAs(t, ticket, claims); err != io.EOF && !isReset(err) {
		t.Errorf("a ticket was good after its boot: %v", err)
	}
}

// eventually waits for what another goroutine does.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for start := time.Now(); !is(); {
		if time.Since(start) > 10*time.Second {
			t.Fatalf("never: %s", what)
		}
		wait := time.NewTimer(time.Millisecond)
		<-wait.C
	}
}

func TestT04_AProofIsWorthNothingOnAnotherConnection(t *testing.T) {
	l, ticket := expect(t)
	// Given somebody in the middle whom the runner takes for its parent, because he has got hold of its key,
	mallory, err := tls.Listen("tcp", "127.0.0.1:0", l.config)
	if err != nil {
		t.Fatal(err)
	}
	defer mallory.Close()
	lured := *ticket
	lured.Addr = mallory.Addr().String()
	over := make(chan struct{})
	var runner sync.WaitGroup
	runner.Go(func() {
		conn, err := Dial(t.Context(), &lured, claims)
		if err != nil {
			t.Error(err)
			return
		}
		<-over
		conn.Close()
	})
	defer runner.Wait()
	defer close(over)
	from, err := mallory.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	a, err := readArrival(from)
	if err != nil {
		t.Fatal(err)
	}
	// when he passes the runner's proof on,
	to, err := tls.Dial("tcp", ticket.Addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}})
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	if err := a.write(to); err != nil {
		t.Fatal(err)
	}
	// then he is not let in.
	to.SetReadDeadline(time.Now().Add(2 * time.Second))
	if n, err := to.Read(make([]byte, 1)); n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("who relayed a proof was not hung up on: %d bytes, %v", n, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.expected["r-1"].over {
		t.Error("a relayed proof was taken")
	}
}

func TestT03_ARunnerTellsAnImpostorNothing(t *testing.T) {
	_, ticket := expect(t)
	impostor, err := New("test", window)
	if err != nil {
		t.Fatal(err)
	}
	defer impostor.Close()
	other, err := impostor.Expect(t.Context(), "r-1", "127.0.0.1", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	ticket.Addr = other.Addr
	if _, err := Dial(t.Context(), ticket, claims); !errors.Is(err, errImpostor) {
		t.Errorf("got %v", err)
	}
	if s := impostor.expected["r-1"]; s.over {
		t.Error("the impostor was answered")
	}
}

func TestT01_WhoeverProvesNothingIsHungUpOn(t *testing.T) {
	_, ticket := expect(t)
	for name, say := range map[string][]byte{"nothing": nil, "another protocol": []byte("GET / HTTP/1.1\r\n\r\n"), "half a handshake": {22, 3, 1, 2, 0, 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", ticket.Addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.Write(say)
			conn.SetReadDeadline(time.Now().Add(handshakeTime + 5*time.Second))
			got, err := io.ReadAll(conn)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("it was let to stay")
			}
			if len(got) > 0 && got[0] != 21 { // an alert of TLS
				t.Errorf("it was told %q", got)
			}
		})
	}
}

func TestT01_WhoeverProvesNothingAfterTheHandshakeIsHungUpOn(t *testing.T) {
	_, ticket := expect(t)
	conn, err := tls.Dial("tcp", ticket.Addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(handshakeTime + 5*time.Second))
	n, err := conn.Read(make([]byte, 1))
	if n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

func TestT10_AFloodOfStrangersDoesNotKeepARunnerOut(t *testing.T) {
	l, ticket := expect(t)
	for range 2 * maxHalf {
		conn, err := net.Dial("tcp", ticket.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	arrive(t, l, ticket)
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.half); n > maxHalf {
		t.Errorf("%d are half joined", n)
	}
}

func TestT01_ThePortIsOpenOnlyWhileARunnerIsExpectedOrThere(t *testing.T) {
	l, ticket := expect(t)
	parent, _ := arrive(t, l, ticket)
	conn, err := net.Dial("tcp", ticket.Addr)
	if err != nil {
		t.Fatalf("it is closed although a runner is there: %v", err)
	}
	conn.Close()
	l.mu.Lock()
	g := l.expected["r-1"]
	l.mu.Unlock()
	l.forget("r-1", g)
	parent.Close()
	if conn, err := net.Dial("tcp", ticket.Addr); err == nil {
		conn.Close()
		t.Error("it is open although nobody is expected or there")
	}
	again, err := l.Expect(t.Context(), "r-1", "127.0.0.1", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	arrive(t, l, again)
}

func TestT05_ATicketDoesNotPrintItsSecret(t *testing.T) {
	_, ticket := expect(t)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
		for _, v := range []any{ticket, *ticket, struct{ T Ticket }{*ticket}} {
			text := fmt.Sprintf(verb, v)
			if strings.Contains(text, fmt.Sprintf("%x", ticket.secret[:4])) || strings.Contains(text, fmt.Sprint(ticket.secret[0], ticket.secret[1])) || !strings.Contains(text, "ticket for") {
				t.Errorf("%s of a %T: %s", verb, v, text)
			}
		}
	}
}

func TestExpectAfterCloseAndWaitForNobody(t *testing.T) {
	l, ticket := expect(t)
	if _, err := l.Wait(t.Context(), "r-9", nil); err == nil {
		t.Error("waiting for a runner that nobody expects")
	}
	gone := make(chan struct{})
	close(gone)
	if _, err := l.Wait(t.Context(), "r-1", gone); !errors.Is(err, errGone) {
		t.Errorf("got %v", err)
	}
	l.Close()
	if _, err := l.Expect(t.Context(), "r-2", "127.0.0.1", "127.0.0.1"); !errors.Is(err, errClosed) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
	defer cancel()
	if _, err := Dial(ctx, ticket, claims); err == nil || !strings.Contains(err.Error(), "dial the parent at "+ticket.Addr) ||
		!strings.Contains(err.Error(), "refused: is there a firewall") {
		t.Errorf("got %v", err)
	}
}

func FuzzWhatAStrangerSends(f *testing.F) {
	for _, a := range []arrival{{Claims: claims}, {Claims: claims, again: true, count: 7, received: 1 << 40}} {
		var b bytes.Buffer
		if err := a.write(&b); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Add([]byte{})
	f.Add([]byte{255, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := readArrival(bytes.NewReader(b))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := a.write(&again); err != nil || !bytes.HasPrefix(b, again.Bytes()) {
			t.Errorf("%q was read as %+v, %v", b, a, err)
		}
	})
}

func FuzzReadTicket(f *testing.F) {
	f.Add([]byte(`{"addr":"a:1","pin":"","secret":"","expires":1}`))
	f.Add([]byte(newTicket("a:1", [32]byte{1}, time.Unix(1, 0)).Written()))
	f.Fuzz(func(t *testing.T, b []byte) {
		ticket, err := Read(b)
		if err != nil {
			return
		}
		again, err := Read(ticket.Written())
		if err != nil || *again != *ticket {
			t.Errorf("%s became %v, %v", b, again, err)
		}
	})
}

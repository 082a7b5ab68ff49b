package dialback

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fleetinglambda/flame/internal/session"
)

// BenchmarkP01_LineAndBareTLS compares calls over a line with calls over the same kind of connection without one: the median
// of many short rounds that take turns.
func BenchmarkP01_LineAndBareTLS(b *testing.B) {
	for _, c := range []struct {
		name           string
		callers, bytes int
	}{{"one caller", 1, 0}, {"64 callers", 64, 0}, {"1 MiB", 1, 1 << 20}} {
		b.Run(c.name, func(b *testing.B) {
			sides := []*session.Session{overLine(b), overTLS(b)}
			var took [2][]time.Duration
			for range 10 {
				for _, s := range sides {
					round(b, s, c.callers, c.bytes)
				}
			}
			for range b.N * 20 {
				for i, s := range sides {
					took[i] = append(took[i], round(b, s, c.callers, c.bytes))
				}
			}
			for i := range took {
				slices.Sort(took[i])
			}
			line, bare := took[0][len(took[0])/2], took[1][len(took[1])/2]
			b.ReportMetric(float64(line.Nanoseconds())/1e3, "line-us")
			b.ReportMetric(float64(bare.Nanoseconds())/1e3, "bare-us")
			b.ReportMetric(float64(line)/float64(bare), "ratio")
			b.ReportMetric(float64(took[0][0])/float64(took[1][0]), "ratio-of-least")
		})
	}
}

// round makes a few calls and returns how long one took.
func round(b *testing.B, s *session.Session, callers, size int) time.Duration {
	calls := 100
	if size > 0 {
		calls = 4
	}
	message := make([]byte, size)
	var all sync.WaitGroup
	begin := time.Now()
	for range callers {
		all.Go(func() {
			for range calls {
				c := &session.Call{Key: 1, Attended: true, Ended: func(session.Result) {}}
				if err := s.Send(c, [][]byte{message}, 0); err != nil {
					b.Error(err)
					return
				}
				s.Wait(c)
			}
		})
	}
	all.Wait()
	return time.Since(begin) / time.Duration(calls)
}

// join makes a session of both ends of a connection, whose runner answers with what it got.
func join(b *testing.B, parent, runner io.ReadWriteCloser) *session.Session {
	b.Helper()
	var served sync.WaitGroup
	served.Go(func() {
		v, err := session.Join(context.Background(), runner, session.Hello{Runner: "r-1", Build: "b"}, func(session.Welcome) error { return nil })
		if err != nil {
			b.Error(err)
			return
		}
		_ = v.Serve(func(in *session.Incoming) { in.Reply([][]byte{in.Data}) })
		v.Wait()
	})
	limits := session.DefaultLimits
	s, err := session.Accept(b.Context(), parent, "r-1", session.Welcome{Build: "b", Message: limits.Message, Silence: limits.Silence}, limits)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		s.Close()
		served.Wait()
	})
	return s
}

func overLine(b *testing.B) *session.Session {
	b.Helper()
	l, err := New("test", 10*time.Second)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(l.Close)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	b.Cleanup(cancel)
	ticket, err := l.Expect(ctx, "r-1", "127.0.0.1", "127.0.0.1")
	if err != nil {
		b.Fatal(err)
	}
	runner, err := Dial(ctx, ticket, claims)
	if err != nil {
		b.Fatal(err)
	}
	parent, err := l.Wait(ctx, "r-1", nil)
	if err != nil {
		b.Fatal(err)
	}
	return join(b, parent, runner)
}

func overTLS(b *testing.B) *session.Session {
	b.Helper()
	l, err := New("test", 0)
	if err != nil {
		b.Fatal(err)
	}
	port, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer port.Close()
	var ends [2]*tls.Conn
	var shake sync.WaitGroup
	shake.Go(func() {
		raw, err := port.Accept()
		if err == nil {
			ends[0] = tls.Server(raw, l.config)
			err = ends[0].Handshake()
		}
		if err != nil {
			b.Error(err)
		}
	})
	ends[1], err = tls.Dial("tcp", port.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}})
	if shake.Wait(); err != nil {
		b.Fatal(fmt.Errorf("dial: %w", err))
	}
	return join(b, connection{ends[0]}, connection{ends[1]})
}

//go:build linux

package flame_test

import (
	"net"
	"sync"
	"testing"
)

// scissors pass on what runners and their parent say to each other, and cut the connection after so many bytes.
type scissors struct {
	listener net.Listener
	parent   string         // where it listens: the same port on another address of this machine
	wg       sync.WaitGroup // accept and all that it begins

	mu    sync.Mutex // guards what follows
	count [2]int     // bytes to the parent and to the runner since leave
	way   int        // that is cut
	left  int        // bytes that may pass that way; -1: all
	cuts  int
	conns map[net.Conn]bool
}

func startScissors(t *testing.T) *scissors {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	s := &scissors{listener: l, parent: net.JoinHostPort("127.0.0.2", port), left: -1, conns: map[net.Conn]bool{}}
	s.wg.Go(s.accept)
	t.Cleanup(func() {
		l.Close()
		s.mu.Lock()
		for c := range s.conns {
			c.Close()
		}
		s.mu.Unlock()
		s.wg.Wait()
	})
	return s
}

// leave lets n more bytes pass one way before the connection is cut; -1 lets all pass.
func (s *scissors) leave(way, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count, s.way, s.left = [2]int{}, way, n
}

// passed returns how many bytes have passed one way since leave.
func (s *scissors) passed(way int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count[way]
}

func (s *scissors) accept() {
	for {
		runner, err := s.listener.Accept()
		if err != nil {
			return
		}
		parent, err := net.Dial("tcp", s.parent)
		if err != nil {
			runner.Close()
			continue
		}
		s.wg.Go(func() { s.join(parent, runner) })
	}
}

// join passes on between the two until one of them ends, or they are cut.
func (s *scissors) join(parent, runner net.Conn) {
	s.keep(true, parent, runner)
	defer s.keep(false, parent, runner)
	var ways sync.WaitGroup
	for way, to := range []net.Conn{parent, runner} {
		ways.Go(func() {
			defer parent.Close()
			defer runner.Close()
			from := []net.Conn{runner, parent}[way]
			for b := make([]byte, 32<<10); ; {
				n, err := from.Read(b)
				n, cut := s.pass(way, n)
				if _, failed := to.Write(b[:n]); err != nil || failed != nil || cut {
					return
				}
			}
		})
	}
	ways.Wait()
}

func (s *scissors) keep(kept bool, conns ...net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range conns {
		if kept {
			s.conns[c] = true
		} else {
			delete(s.conns, c)
		}
	}
}

// pass says how many of n bytes may pass, and whether they are the last. Every other cut is a reset.
func (s *scissors) pass(way, n int) (pass int, cut bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if way == s.way && s.left >= 0 {
		if n = min(n, s.left); n == s.left {
			s.left, cut = -1, true
		} else {
			s.left -= n
		}
	}
	s.count[way] += n
	if cut {
		if s.cuts++; s.cuts%2 == 0 {
			for c := range s.conns {
				_ = c.(*net.TCPConn).SetLinger(0)
			}
		}
	}
	return n, cut
}

package dialback

import (
	"crypto/hmac"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"time"

	"github.com/fleetinglambda/flame/internal/line"
)

// receive has one who has connected prove that he is expected, or that he has been here. Who does not is told nothing.
func (l *Listener) receive(raw net.Conn) {
	_ = raw.SetDeadline(time.Now().Add(handshakeTime))
	if !l.enter(raw) {
		raw.Close()
		return
	}
	conn := connection{tls.Server(raw, l.config)}
	a, err := readArrival(conn) // after the handshake of TLS
	in := err == nil
	switch {
	case !in:
		l.leave(raw)
	case a.again:
		in = l.readmit(conn, &a)
	default:
		in = l.admit(conn, &a)
	}
	if !in {
		raw.Close()
	}
}

// enter counts somebody as half joined. If there are too many, the one who came first has to go.
func (l *Listener) enter(raw net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.port == nil {
		return false
	}
	if len(l.half) >= maxHalf {
		l.half[0].Close()
		l.half = l.half[1:]
	}
	l.half = append(l.half, raw)
	return true
}

// leave counts somebody as half joined no more.
func (l *Listener) leave(raw net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leaveLocked(raw)
}

func (l *Listener) leaveLocked(raw net.Conn) {
	l.half = slices.DeleteFunc(l.half, func(c net.Conn) bool { return c == raw })
}

// admit lets a guest in that has proved to be one: once, as long as he is expected. Of which build he is he has proved as
// well; whether that is the right one is for the session to say, in words.
func (l *Listener) admit(conn connection, a *arrival) bool {
	g, key := l.check(conn.Conn, a)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leaveLocked(conn.NetConn())
	if g == nil || g.over || l.closed {
		return false
	}
	g.over = true
	_ = conn.SetDeadline(time.Time{})
	m := &member{build: a.Build, key: key}
	m.line = line.New(conn, line.Config{Silence: silence(l.window), Window: l.window, Ended: func() { l.left(a.Runner, m) }})
	l.members[a.Runner] = m
	g.arrived <- m.line // never blocks: it is the only one
	return true
}

// check returns the guest that somebody has proved to be, or nil, and the key by which he can prove it again.
func (l *Listener) check(conn *tls.Conn, a *arrival) (g *guest, key [proofSize]byte) {
	a.Pool = l.pool
	l.mu.Lock()
	g = l.expected[a.Runner]
	l.mu.Unlock()
	if g == nil {
		return nil, key
	}
	want, err := g.ticket.proof(conn, a.Claims)
	if err != nil || !hmac.Equal(want[:], a.proof[:]) || time.Now().After(g.ticket.Expires) {
		return nil, key
	}
	if key, err = g.ticket.key(conn, a.Claims); err != nil {
		return nil, key
	}
	return g, key
}

// left is told when the line of a runner is over.
func (l *Listener) left(runner string, m *member) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.members[runner] == m {
		delete(l.members, runner)
	}
	l.closeIfAloneLocked()
}

// readmit gives the line of a runner that has proved to be the same another connection. Everybody else is told no, and
// not why: who has no line here any more must not wait for it.
func (l *Listener) readmit(conn connection, a *arrival) bool {
	m := l.checkAgain(conn.Conn, a)
	l.leave(conn.NetConn())
	if m == nil {
		_ = writeAnswer(conn, refused)
		return false
	}
	err := m.line.Resume(conn, a.received, func(mine int64) error {
		return errors.Join(writeAnswer(conn, mine), conn.SetDeadline(time.Time{}))
	})
	return err == nil
}

// checkAgain returns the member that somebody has proved to be, or nil. A proof is good once, and not after a later one.
func (l *Listener) checkAgain(conn *tls.Conn, a *arrival) *member {
	l.mu.Lock()
	m := l.members[a.Runner]
	l.mu.Unlock()
	if m == nil || a.Build != m.build {
		return nil
	}
	want, err := proofAgain(m.key, conn, l.pool, a)
	if err != nil || !hmac.Equal(want[:], a.proof[:]) {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if a.count <= m.count || l.members[a.Runner] != m {
		return nil
	}
	m.count = a.count
	return m
}

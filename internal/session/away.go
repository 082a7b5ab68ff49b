package session

import "errors"

// A connection may be away for a time and come back, see package line. It asks for signs of life itself, and the session does
// not notice; who has calls to give away would rather know.

// returning is such a connection.
type returning interface {
	Away() bool
	Turned() <-chan struct{}
	Final()
}

// Away says whether the runner cannot be reached now, but may come back.
func (s *Session) Away() bool {
	c, ok := s.conn.(returning)
	return ok && c.Away()
}

// Turned has a token when Away may have become another. It is nil if that never happens.
func (s *Session) Turned() <-chan struct{} {
	if c, ok := s.conn.(returning); ok {
		return c.Turned()
	}
	return nil
}

// Final says that the runner is gone: what it has sent is still read, and nobody waits until it comes back.
func (s *Session) Final() {
	if c, ok := s.conn.(returning); ok {
		c.Final()
	}
}

// Abandoned says whether err is the end of a session whose other side could have come back, and did not in time.
func Abandoned(err error) bool {
	var lost interface{ Abandoned() bool }
	return errors.As(err, &lost) && lost.Abandoned()
}

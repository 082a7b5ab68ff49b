package dialback

import (
	"crypto/tls"
)

// connection ends as a socket does: at once, and without a word to the other side. Lines say goodbye themselves.
type connection struct {
	*tls.Conn
}

// Close closes the connection. It does not wait for a slow one.
func (c connection) Close() error { return c.NetConn().Close() }

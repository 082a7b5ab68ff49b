package dialback

import (
	"crypto/tls"
	"errors"
	"io"
	"sync"
)

// connection ends as a socket does: at once, and without a word to the other side. Sessions say goodbye themselves.
type connection struct {
	*tls.Conn
	once sync.Once
	gone func() // called when it is closed
}

// Read reads what the other side wrote.
func (c *connection) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

// Close closes the connection. It does not wait for a slow one.
func (c *connection) Close() error {
	err := c.NetConn().Close()
	c.once.Do(c.gone)
	return err
}

//go:build !linux

package session

import (
	"io"
	"os"
)

// Socket returns a connection over a socket.
func Socket(file *os.File) (io.ReadWriteCloser, error) { return file, nil }

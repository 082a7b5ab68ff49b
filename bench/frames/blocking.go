package frames

import (
	"io"
	"syscall"
)

// Blocking is a descriptor whose reads and writes keep their thread until they are done, past Go's poller.
type Blocking int

// Read reads what is there, and waits if nothing is.
func (b Blocking) Read(p []byte) (int, error) {
	n, err := ignoringEINTR(syscall.Read, int(b), p)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

// Write writes all of p. A frame fits the socket's buffer, so one call does it.
func (b Blocking) Write(p []byte) (int, error) { return ignoringEINTR(syscall.Write, int(b), p) }

// Close closes the descriptor. Nobody may be using it.
func (b Blocking) Close() error { return syscall.Close(int(b)) }

func ignoringEINTR(call func(int, []byte) (int, error), fd int, p []byte) (int, error) {
	for {
		n, err := call(fd, p)
		if err != syscall.EINTR {
			return max(n, 0), err
		}
	}
}

// BlockingPair returns both ends of a new connection: one to use here, one for a child to inherit.
func BlockingPair() (here, child Blocking, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	return Blocking(fds[0]), Blocking(fds[1]), err
}

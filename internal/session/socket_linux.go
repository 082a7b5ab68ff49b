package session

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A socket is kept out of the runtime's poller. The poller would be told of every byte that arrives, and wake a
// thread for it, even while a goroutine waits for that byte in the kernel. Here a goroutine waits in the
// kernel for what comes soon, and through the poller only for what does not: the poller watches not the socket
// but an epoll descriptor of its own, which tells it only when it is armed.
type socket struct {
	file *os.File
	raw  syscall.RawConn
	in   *gate

	reading vectored // used by whoever reads
	writing vectored // used by whoever writes

	mu     sync.Mutex // guards what follows
	out    *gate      // made when the socket is full for the first time
	closed bool
}

// Socket returns a connection over a socket that package os takes for a blocking one: as it comes from
// os.NewFile before anybody has made it non-blocking. It takes over the file.
func Socket(file *os.File) (io.ReadWriteCloser, error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	s := &socket{file: file, raw: raw, reading: vectored{call: unix.Readv}, writing: vectored{call: unix.Writev}}
	failed := raw.Control(func(fd uintptr) {
		if err = syscall.SetNonblock(int(fd), true); err == nil {
			s.in, err = newGate(int(fd), unix.EPOLLIN|unix.EPOLLRDHUP)
		}
	})
	if err := errors.Join(failed, err); err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	return s, nil
}

// Read waits for what comes later than soon.
func (s *socket) Read(b []byte) (int, error) {
	for {
		n, err := s.file.Read(b)
		if !errors.Is(err, syscall.EAGAIN) {
			return n, err
		}
		if err := s.in.wait(); err != nil {
			return 0, err
		}
	}
}

// ReadBoth reads into first and then into second what is there, and waits in the kernel for what is not there yet.
func (s *socket) ReadBoth(first, second []byte) (int, error) {
	for waited := false; ; waited = true {
		n, err := s.reading.move(s.raw, first, second)
		switch {
		case err == nil && n == 0:
			return 0, io.EOF
		case err != syscall.EAGAIN:
			return n, err
		case !waited:
			s.await()
		default:
			if err := s.in.wait(); err != nil {
				return 0, err
			}
		}
	}
}

// Write waits while the socket is full.
func (s *socket) Write(b []byte) (int, error) {
	for done := 0; ; {
		n, err := s.file.Write(b[done:])
		if done += n; !errors.Is(err, syscall.EAGAIN) {
			return done, err
		}
		if err := s.waitRoom(); err != nil {
			return done, err
		}
	}
}

// tryWrite writes what fits.
func (s *socket) tryWrite(b [][]byte) (n int, err error) {
	if len(b) == 1 {
		n, err = s.file.Write(b[0])
	} else {
		n, err = s.writing.move(s.raw, b...)
	}
	if errors.Is(err, syscall.EAGAIN) {
		err = nil
	}
	return n, err
}

// waitRoom waits while the socket is full.
func (s *socket) waitRoom() error {
	out, err := s.outGate()
	if err != nil {
		return err
	}
	return out.wait()
}

// SetReadDeadline calls off a Read that waits.
func (s *socket) SetReadDeadline(t time.Time) error { return s.in.epoll.SetReadDeadline(t) }

// Close ends a Read or a Write that waits, once nobody can write any more.
func (s *socket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	err := s.file.Close()
	s.in.epoll.Close()
	if s.out != nil {
		s.out.epoll.Close()
	}
	return err
}

func (s *socket) outGate() (g *gate, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, os.ErrClosed
	}
	if s.out == nil {
		failed := s.raw.Control(func(fd uintptr) { s.out, err = newGate(int(fd), unix.EPOLLOUT) })
		err = errors.Join(failed, err)
	}
	return s.out, err
}

// kernelWait is how long a goroutine may wait in the kernel. It keeps a thread meanwhile, and the scheduler
// thinks that it is running.
const kernelWait = time.Millisecond

// kernelWaiting is true while some goroutine of this process waits in the kernel. Only one may: more would keep
// processors from goroutines that could run.
var kernelWaiting atomic.Bool

// await waits a moment for something to read.
func (s *socket) await() { s.waitInKernel(waitToRead) }

// awaitRoom waits a moment while the socket is full.
func (s *socket) awaitRoom() { s.waitInKernel(waitToWrite) }

func (s *socket) waitInKernel(wait func(fd uintptr)) {
	if runtime.GOMAXPROCS(0) > 1 && kernelWaiting.CompareAndSwap(false, true) {
		_ = s.raw.Control(wait) // what is wrong, Read or Write finds out
		kernelWaiting.Store(false)
	}
}

func waitToRead(fd uintptr) { waitFor(fd, unix.POLLIN) }

func waitToWrite(fd uintptr) { waitFor(fd, unix.POLLOUT) }

func waitFor(fd uintptr, events int16) {
	fds := [...]unix.PollFd{{Fd: int32(fd), Events: events}}
	_, _ = unix.Poll(fds[:], int(kernelWait/time.Millisecond))
}

// vectored is a call of the kernel that takes several pieces of memory, by one goroutine at a time.
type vectored struct {
	call   func(fd int, pieces [][]byte) (int, error)
	pieces [][]byte
	n      int
	err    error
	run    func(fd uintptr) // made once
}

// move makes the call.
func (v *vectored) move(raw syscall.RawConn, pieces ...[]byte) (int, error) {
	if v.run == nil {
		v.run = func(fd uintptr) {
			for v.err = unix.EINTR; v.err == unix.EINTR; {
				v.n, v.err = v.call(int(fd), v.pieces)
			}
		}
	}
	v.pieces, v.n = append(v.pieces[:0], pieces...), 0
	err := raw.Control(v.run)
	clear(v.pieces)
	if err == nil {
		err = v.err
	}
	return max(v.n, 0), err
}

// gate lets a goroutine wait, parked, for one kind of event of a descriptor.
type gate struct {
	epoll  *os.File // in the runtime's poller
	raw    syscall.RawConn
	fd     int
	events uint32
}

func newGate(fd int, events uint32) (*gate, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(epoll, true); err != nil {
		return nil, err
	}
	g := &gate{epoll: os.NewFile(uintptr(epoll), "epoll"), fd: fd, events: events}
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLONESHOT}); err != nil {
		return nil, err
	}
	g.raw, err = g.epoll.SyscallConn()
	return g, err
}

// wait waits for an event, until the deadline of the epoll file has come or it is closed.
func (g *gate) wait() error {
	var failed error
	armed := false
	err := g.raw.Read(func(epoll uintptr) bool {
		if !armed {
			armed = true
			failed = unix.EpollCtl(int(epoll), unix.EPOLL_CTL_MOD, g.fd, &unix.EpollEvent{Events: g.events | unix.EPOLLONESHOT})
		}
		if failed != nil {
			return true
		}
		var event [1]unix.EpollEvent
		n, err := unix.EpollWait(int(epoll), event[:], 0)
		return n > 0 || err != nil && err != unix.EINTR
	})
	return errors.Join(err, failed)
}

package process

import (
	"cmp"
	"io"
	"os"
	"sync"
)

// maxFlush is how much flush reads at most: what goes on printing must not keep it.
const maxFlush = 1 << 20

// printed reads what a process writes to stdout and stderr, and passes it on.
type printed struct {
	read   *os.File
	to     io.Writer
	keep   func([]byte) // gets the same
	prompt bool         // to does not block

	mu  sync.Mutex // guards buf; held while what was read is passed on, so that it stays in order
	buf []byte
}

// newPrinted passes on to raw, or if that is nil to prompt, which does not block, or if that is nil to os.Stderr.
func newPrinted(read *os.File, raw, prompt io.Writer, keep func([]byte)) *printed {
	return &printed{
		read: read, to: cmp.Or(raw, prompt, io.Writer(os.Stderr)), keep: keep, prompt: raw == nil && prompt != nil,
		buf: make([]byte, 32<<10),
	}
}

// copy passes on until the last writer has gone, or the deadline of the pipe has come.
func (p *printed) copy() {
	defer p.read.Close()
	conn, err := p.read.SyscallConn()
	for open := true; open && err == nil; {
		err = conn.Read(func(fd uintptr) (done bool) {
			n, again := p.pass(fd)
			open = n > 0
			return !again
		})
	}
}

// flush passes on what is in the pipe. It waits for nothing more.
func (p *printed) flush() {
	if !p.prompt {
		return
	}
	conn, err := p.read.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Control(func(fd uintptr) { // an error says that it is closed: all of it was passed on
		for size, n := 0, 1; n > 0 && size < maxFlush; size += n {
			n, _ = p.pass(fd)
		}
	})
}

// pass passes on what one read returns. n is 0 at the end, and if there is nothing yet: again is true then.
func (p *printed) pass(fd uintptr) (n int, again bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, again = readNow(fd, p.buf)
	if n > 0 {
		p.keep(p.buf[:n])
		_, _ = p.to.Write(p.buf[:n]) // what nobody can read is no reason to stop the process
	}
	return n, again
}

// Package process runs runners as processes of this executable on this machine. It is the default backend.
//
// A runner inherits one end of a socketpair: there is no path, no listener and no token, and it works in an
// empty, read-only root file system as long as /proc is there.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/fleetinglambda/flame/backend"
)

// Options are the settings of New.
type Options struct {
	// Output gets what runners write to stdout and stderr, as it is, instead of the pool's logger. Writes come from one
	// goroutine per runner, so it must allow several at once, as an *os.File does. Runners wait for it. Default nil: the
	// pool's logger gets it line by line.
	Output io.Writer
}

// New returns the backend.
func New(o Options) backend.Backend {
	return &processes{o, newLedger(os.DirFS("/"))}
}

type processes struct {
	Options
	ooms *ledger
}

// Boot starts a process. Interrupts typed at the terminal do not reach it.
func (p *processes) Boot(ctx context.Context, spec backend.Spec) (backend.Instance, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	ours, theirs, err := socketpair()
	if err != nil {
		return nil, fmt.Errorf("process: socketpair: %w", err)
	}
	defer theirs.Close()
	read, write, err := os.Pipe()
	if err != nil {
		ours.Close()
		return nil, fmt.Errorf("process: pipe: %w", err)
	}
	defer write.Close()
	stdin, err := empty()
	if err != nil {
		ours.Close()
		read.Close()
		return nil, fmt.Errorf("process: pipe: %w", err)
	}
	defer stdin.Close()
	cmd := &exec.Cmd{
		Path: spec.Path, Args: spec.Args, Env: spec.Env, Dir: spec.Dir, Stdin: stdin,
		Stdout: write, Stderr: write, ExtraFiles: []*os.File{theirs}, SysProcAttr: ownGroup(),
	}
	if err := cmd.Start(); err != nil {
		ours.Close()
		read.Close()
		return nil, fmt.Errorf("process: start %s: %w", spec.Path, err)
	}
	i := &instance{cmd: cmd, conn: ours, done: make(chan struct{}), ooms: p.ooms, page: p.ooms.open(cmd.Process.Pid)}
	i.printed = newPrinted(read, p.Output, spec.Output, i.keep)
	i.wg.Go(i.follow)
	return i, nil
}

// empty returns a file at whose end one is from the start. It is a pipe, since not every root folder has /dev/null.
func empty() (*os.File, error) {
	read, write, err := os.Pipe()
	if err == nil {
		write.Close()
	}
	return read, err
}

// instance is one process.
type instance struct {
	cmd  *exec.Cmd
	conn *os.File
	done chan struct{} // closed by follow
	ooms *ledger
	page page // in ooms
	wg   sync.WaitGroup

	printed *printed

	mu  sync.Mutex // guards what follows
	out backend.Tail
	err error // set before done is closed
}

// leftovers is how long a pipe is still read after the process has gone, if another process holds it open.
const leftovers = 100 * time.Millisecond

// follow waits for the process while its output is read.
func (i *instance) follow() {
	var copied sync.WaitGroup
	copied.Go(i.printed.copy)
	err := i.cmd.Wait()
	killGroup(i.cmd.Process.Pid) // what it started and left
	i.printed.read.SetReadDeadline(time.Now().Add(leftovers))
	copied.Wait()
	i.mu.Lock()
	i.err = i.exitError(err)
	i.mu.Unlock()
	close(i.done)
}

// keep keeps the last part of the process's output.
func (i *instance) keep(b []byte) {
	i.mu.Lock()
	defer i.mu.Unlock()
	_, _ = i.out.Write(b) // it never fails
}

// Flush has written, when it returns, what the process has printed so far.
func (i *instance) Flush() { i.printed.flush() }

// Raw says whether what the process prints goes elsewhere than to Spec.Output.
func (i *instance) Raw() bool { return !i.printed.prompt }

// ID is the process id.
func (i *instance) ID() string { return strconv.Itoa(i.cmd.Process.Pid) }

// Conn is the parent's end of the connection.
func (i *instance) Conn() io.ReadWriteCloser { return i.conn }

// Done is closed when the process is gone.
func (i *instance) Done() <-chan struct{} { return i.done }

// Err holds an *backend.ExitError unless the process exited with code 0.
func (i *instance) Err() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.err
}

// Output returns the last 64 KiB of what the process wrote.
func (i *instance) Output() []byte {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.out.Bytes()
}

// Stop asks with SIGTERM and insists with SIGKILL to the process and all it has started. With a context that has ended
// it does not ask.
func (i *instance) Stop(ctx context.Context) error {
	if ctx.Err() != nil {
		return i.kill()
	}
	if err := terminate(i.cmd.Process); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("process: stop %s: %w", i.ID(), err)
	}
	select {
	case <-i.done:
		return nil
	case <-ctx.Done():
	}
	return i.kill()
}

func (i *instance) kill() error {
	_ = i.cmd.Process.Kill() // it may be gone by now
	<-i.done
	return nil
}

func (i *instance) exitError(err error) error {
	exit := new(exec.ExitError)
	if !errors.As(err, &exit) {
		return err
	}
	signal := signalOf(exit.ProcessState)
	return &backend.ExitError{Code: exit.ExitCode(), Signal: signal, OOM: signal == syscall.SIGKILL && i.ooms.isOOM(i.page)}
}

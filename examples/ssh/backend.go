package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"

	"github.com/fleetinglambda/flame/backend"
)

// machine is a backend whose runners are processes of another machine, reached by ssh. The executable is there already.
type machine struct {
	ssh  []string // the command, as far as the host: ssh -p 2222 user@host
	path string   // of the executable, over there
	dial string   // this machine's address, seen from there
	env  []string // names of the variables that runners get
}

// Address says that this machine listens at any port of any address, and what runners dial.
func (m machine) Address(context.Context) (listen, dial string, err error) { return ":0", m.dial, nil }

// script starts the program, passes on the signals that are named on stdin, and kills it when stdin ends: when ssh does.
const script = `{ exec 3<&0; %s </dev/null 3<&- & p=$!
{ while read -r s; do kill -s $s $p; done <&3; kill -s KILL $p; } >/dev/null 2>&1 &
wait $p; exit $?; }
`

// Boot has a shell over there start the program. It is told so on stdin: arguments could be read by others.
func (m machine) Boot(ctx context.Context, spec backend.Spec) (backend.Instance, error) {
	p := &process{id: spec.ID, ssh: exec.Command(m.ssh[0], append(m.ssh[1:len(m.ssh):len(m.ssh)], "sh", "-s")...), done: make(chan struct{})}
	p.ssh.Stdout, p.ssh.Stderr = spec.Output, spec.Output // the same: ssh's own words, too
	stdin, err := p.ssh.StdinPipe()
	if err != nil || ctx.Err() != nil {
		return nil, errors.Join(err, context.Cause(ctx))
	}
	if err := p.ssh.Start(); err != nil {
		return nil, err
	}
	for _, v := range spec.Allowed(m.env...) {
		name, value, _ := strings.Cut(v, "=")
		fmt.Fprintf(stdin, "export %s=%s\n", name, quoted(value))
	}
	fmt.Fprintf(stdin, script, quoted(append([]string{m.path}, spec.Args[1:]...)...))
	p.signals = stdin
	p.wg.Go(p.follow)
	return p, nil
}

// process is an instance: an ssh, and the program at its other end.
type process struct {
	id      string
	ssh     *exec.Cmd
	signals io.Writer // takes their names
	wg      sync.WaitGroup
	done    chan struct{} // closed by follow
	err     error         // set before done is closed
}

// follow waits for the end. What ssh exits with is what the program did, or 128 and the signal that ended it.
func (p *process) follow() {
	p.err = p.ssh.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](p.err); ok {
		end := &backend.ExitError{Code: exit.ExitCode()}
		if end.Code > 128 && end.Code < 255 { // 255 is ssh's own
			end.Code, end.Signal = -1, syscall.Signal(end.Code-128)
		}
		p.err = end
	}
	close(p.done)
}

func (p *process) ID() string            { return p.id }
func (p *process) Done() <-chan struct{} { return p.done }

func (p *process) Err() error {
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

// Stop asks and insists. Without an ssh there is nobody to ask, and its end has ended the program.
func (p *process) Stop(ctx context.Context) error {
	fmt.Fprintln(p.signals, "TERM")
	select {
	case <-p.done:
	case <-ctx.Done():
		_ = p.ssh.Process.Kill() // it may be gone
	}
	p.wg.Wait()
	return nil
}

// Package backend is the contract between a pool and a place that can run copies of the program.
//
// A backend only starts and stops things. Calls, results, health and figures travel over the
// session between parent and runner, never through the backend, so that a backend of one's own
// is a page of code. Package backendtest holds the checks that every backend must pass.
package backend

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
)

// EnvParent is the environment variable that tells a copy of the program that it is a runner, and whose.
// It is part of [Spec.Env]; a backend passes it on unchanged and never prints it.
const EnvParent = "FLAME_PARENT"

// A Backend is a place that can run copies of the program: processes on this machine, containers, machines.
// Its methods may be called by several goroutines at once.
type Backend interface {
	// Boot brings up one copy of the program as spec says and returns once it exists; the copy
	// need not be up. When ctx ends first, Boot returns an error and leaves nothing behind.
	Boot(ctx context.Context, spec Spec) (Instance, error)
}

// An Instance is what a backend booted: a process, a container, a pod, a machine.
// Its methods may be called by several goroutines at once.
type Instance interface {
	// ID names the instance in the backend's own terms: a pid, a container id. It never changes.
	ID() string
	// Done is closed when the instance is gone, whatever the reason.
	Done() <-chan struct{}
	// Err says why the instance is gone: nil before Done is closed and after an exit with code 0,
	// otherwise an error that may hold an [*ExitError].
	Err() error
	// Stop ends the instance and waits until it is gone. It asks first and insists when ctx ends.
	// Stopping a stopped one does nothing.
	Stop(ctx context.Context) error
}

// Connected is an Instance that brings its connection along, such as a process that inherited one
// end of a socketpair. A runner without it dials its parent back.
type Connected interface {
	Instance
	// Conn is the parent's end of the connection. It belongs to the caller, who closes it.
	Conn() io.ReadWriteCloser
}

// Networked is a Backend whose runners dial their parent back, over TLS, from wherever they are. What lets them in is in
// [EnvParent]: it is good for one runner and once, and to be kept from others until then.
type Networked interface {
	Backend
	// Address says where the parent listens for runners, "host:port", and what they dial to get there. No host or no
	// port to listen at means any; no port to dial means the one that is listened at. It is asked before each Boot.
	Address(ctx context.Context) (listen, dial string, err error)
}

// Teller is an Instance that can tell what its copy of the program wrote to stdout and stderr.
type Teller interface {
	Instance
	// Output returns the last part of it, at most 64 KiB. It is complete once Done is closed.
	Output() []byte
}

// Flusher is an Instance that can write to [Spec.Output] at once what its copy of the program has written so far. Where it
// can, each line is known to be of the call that printed it, on runners with one call at a time.
type Flusher interface {
	Instance
	// Flush returns when that is written. It waits for nothing that is yet to come, and may be called at any time.
	Flush()
}

// Local is implemented by a Backend whose runners are this very process, so that main is never run
// for them. Every other backend boots main again.
type Local interface {
	Backend
	// Local is never called; having it is the statement.
	Local()
}

// Silent is implemented by a Backend that cannot see what its copies of the program write to stdout and stderr: nothing
// of it comes to [Spec.Output].
type Silent interface {
	Backend
	// Silent is never called; having it is the statement.
	Silent()
}

// A Reaper is a Backend that can remove what a parent left when it died without a chance to stop it.
type Reaper interface {
	// Reap removes instances whose parent is provably gone and returns their ids. With dryRun it only
	// names them. A parent on another host is never judged.
	Reap(ctx context.Context, dryRun bool) ([]string, error)
}

// Spec says what to boot.
type Spec struct {
	// ID names the runner: unique, lower-case letters, digits and hyphens, at most 63 bytes.
	ID string
	// Pool is the pool's name, Parent the parent's id. Both are for labels and logs.
	Pool, Parent string
	// Path is the executable: the parent's own, whatever its file's name now holds. Backends that run an image
	// with the executable inside may ignore it.
	Path string
	// Args are the parent's arguments; Args[0] is the program's name.
	Args []string
	// Env is the runner's whole environment, "name=value" each. It holds [EnvParent].
	Env []string
	// Dir is the working directory; empty means the backend's default.
	Dir string
	// Output is where the backend writes what the copy writes to stdout and stderr; a [Silent] one does not. Writes do not
	// block, and come from one goroutine at a time. It may be nil.
	Output io.Writer
	// Labels mark the instance where the engine can hold labels.
	Labels map[string]string
}

// Allowed returns what of Env goes to another machine: the invite, always, and the variables that are named; a name that
// ends with * is a prefix.
func (s Spec) Allowed(names ...string) (env []string) {
	for _, v := range s.Env {
		name, _, _ := strings.Cut(v, "=")
		named := func(pattern string) bool {
			prefix, ok := strings.CutSuffix(pattern, "*")
			return pattern == name || ok && strings.HasPrefix(name, prefix)
		}
		if name == EnvParent || slices.ContainsFunc(names, named) {
			env = append(env, v)
		}
	}
	return env
}

// Format prints the spec without its environment, which has secrets in it, whatever the verb.
func (s Spec) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "{ID:%s Pool:%s Parent:%s Path:%s Args:%q Env:%d variables Dir:%s}", s.ID, s.Pool, s.Parent, s.Path, s.Args, len(s.Env), s.Dir)
}

// LogValue logs the same.
func (s Spec) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(s)) }

// ExitError says how an instance ended.
type ExitError struct {
	// Code is the exit code; -1 if a signal ended it or the engine does not say.
	Code int
	// Signal is the signal that ended it, or nil.
	Signal os.Signal
	// OOM is true if it was killed because memory ran out.
	OOM bool
}

// Error says it in words.
func (e *ExitError) Error() string {
	switch {
	case e.OOM:
		return "killed because it ran out of memory"
	case e.Signal != nil:
		return fmt.Sprintf("killed by signal: %v", e.Signal)
	default:
		return fmt.Sprintf("exit code %d", e.Code)
	}
}

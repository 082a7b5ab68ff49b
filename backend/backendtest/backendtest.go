// Package backendtest holds the checks that every backend must pass. They are the contract of package backend in
// the form of a test.
//
// A backend's own test calls Run, and flame.ServeIfRunner in TestMain, since the test binary is the
// program that the backend boots:
//
//	func TestMain(m *testing.M) { flame.ServeIfRunner(); os.Exit(m.Run()) }
//	func TestBackend(t *testing.T) { backendtest.Run(t, func(*testing.T) backend.Backend { return mine.New() }) }
package backendtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend"
)

// patience is how long anything in these checks may take before it counts as hanging.
const patience = 60 * time.Second

// Run checks the backends that newBackend returns. It is called once for each check.
func Run(t *testing.T, newBackend func(t *testing.T) backend.Backend) {
	for _, c := range []struct {
		name  string
		check func(*suite)
	}{
		{"a runner serves calls", (*suite).serves},
		{"runners boot in parallel", (*suite).bootsInParallel},
		{"the environment and the arguments reach the runner", (*suite).environment},
		{"a boot whose context has ended leaves nothing", (*suite).bootTooLate},
		{"stop ends an instance, and may be called twice", (*suite).stopsTwice},
		{"a runner that never joins is stopped at the boot timeout", (*suite).neverJoins},
		{"an instance that dies by itself says how", (*suite).diesByItself},
		{"close leaves no instance", (*suite).closes},
		{"what a runner prints comes to the spec's output", (*suite).prints},
		{"nothing secret is in the spec's labels", (*suite).labels},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			b := newBackend(t)
			_, local := b.(backend.Local)
			c.check(&suite{T: t, ctx: ctx, backend: &recorder{Backend: b}, local: local})
		})
	}
}

// suite is one check at work.
type suite struct {
	*testing.T
	ctx     context.Context
	backend *recorder
	local   bool // runners are this very process
}

// recorder remembers what a backend has booted.
type recorder struct {
	backend.Backend
	change func(*backend.Spec)

	mu        sync.Mutex
	specs     []backend.Spec
	instances []backend.Instance
}

// Boot boots and remembers.
func (r *recorder) Boot(ctx context.Context, spec backend.Spec) (backend.Instance, error) {
	if r.change != nil {
		r.change(&spec)
	}
	i, err := r.Backend.Boot(ctx, spec)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.specs = append(r.specs, spec)
	if err == nil {
		r.instances = append(r.instances, i)
	}
	return i, err
}

func (r *recorder) booted() []backend.Instance {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]backend.Instance(nil), r.instances...)
}

// localRecorder is a recorder of a backend.Local.
type localRecorder struct{ *recorder }

// Local states what the recorded backend states.
func (localRecorder) Local() {}

// networkedRecorder is a recorder of a backend.Networked.
type networkedRecorder struct {
	*recorder
	networked backend.Networked
}

// Address returns what the recorded backend returns.
func (r networkedRecorder) Address(ctx context.Context) (listen, dial string, err error) {
	return r.networked.Address(ctx)
}

// open opens a pool on the backend; it is closed after the check. What it logs is the test's.
func (s *suite) open(c flame.Config) (*flame.Pool, error) {
	c.Name, c.Backend, c.Logger = "backendtest", s.backend, slog.New(slog.NewTextHandler(s.Output(), nil))
	if s.local {
		c.Backend = localRecorder{s.backend}
	}
	if n, ok := s.backend.Backend.(backend.Networked); ok {
		c.Backend = networkedRecorder{s.backend, n}
	}
	p, err := flame.Open(s.ctx, c)
	if err == nil {
		s.Cleanup(func() { p.Close() })
	}
	return p, err
}

func (s *suite) mustOpen(c flame.Config) *flame.Pool {
	s.Helper()
	p, err := s.open(c)
	if err != nil {
		s.Fatal(err)
	}
	return p
}

func (s *suite) serves() {
	p := s.mustOpen(flame.Config{})
	who := "world"
	greet := func(context.Context) (string, error) {
		host, err := os.Hostname() // two containers may have the same pids
		return fmt.Sprint("hello, ", who, " ", host, " ", os.Getpid()), err
	}
	got, err := flame.Call(s.ctx, p, greet)
	here, _ := greet(s.ctx)
	if err != nil || (got == here) != s.local {
		s.Errorf("a call on a runner returned %q, %v", got, err)
	}
}

func (s *suite) bootsInParallel() {
	const n = 4
	p := s.mustOpen(flame.Config{Min: n, MaxConcurrency: 1})
	if got := len(s.backend.booted()); got != n {
		s.Errorf("Open with Min %d booted %d", n, got)
	}
	ids := make(map[string]bool)
	for _, i := range s.backend.booted() {
		ids[i.ID()] = true
	}
	if len(ids) != n {
		s.Errorf("%d instances have %d different ids", n, len(ids))
	}
	if err := flame.Run(s.ctx, p, func(context.Context) error { return nil }); err != nil {
		s.Error(err)
	}
}

func (s *suite) environment() {
	s.Setenv("FLAME_BACKENDTEST", "a value\twith 'quotes', \"double\" ones and ünïcode")
	want := os.Getenv("FLAME_BACKENDTEST")
	p := s.mustOpen(flame.Config{})
	args := len(os.Args)
	err := flame.Run(s.ctx, p, func(context.Context) error {
		if got := os.Getenv("FLAME_BACKENDTEST"); got != want {
			return fmt.Errorf("the environment has %q", got)
		}
		if os.Getenv(backend.EnvParent) != "" {
			return errors.New("the invite is still in the environment")
		}
		if len(os.Args) != args {
			return fmt.Errorf("%d arguments instead of %d", len(os.Args), args)
		}
		return nil
	})
	if err != nil {
		s.Error(err)
	}
}

func (s *suite) bootTooLate() {
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	i, err := s.backend.Boot(ctx, backend.Spec{ID: "late", Path: os.Args[0], Args: os.Args})
	if err == nil {
		_ = i.Stop(s.ctx)
		s.Error("Boot with a context that has ended booted something")
	}
}

func (s *suite) stopsTwice() {
	s.mustOpen(flame.Config{Min: 1})
	i := s.backend.booted()[0]
	select {
	case <-i.Done():
		s.Fatal("a live instance is Done")
	default:
	}
	if err := i.Err(); err != nil {
		s.Errorf("a live instance has an Err: %v", err)
	}
	if err := errors.Join(i.Stop(s.ctx), i.Stop(s.ctx)); err != nil {
		s.Errorf("stopping twice: %v", err)
	}
	select {
	case <-i.Done():
	default:
		s.Error("a stopped instance is not Done")
	}
}

func (s *suite) neverJoins() {
	if s.local {
		s.Skip("a runner in the parent's own process has no main that could fail to join")
	}
	s.backend.change = func(spec *backend.Spec) {
		for i, v := range spec.Env { // without its invite the copy takes itself for a parent and tests everything
			if len(v) > len(backend.EnvParent) && v[:len(backend.EnvParent)] == backend.EnvParent {
				spec.Env[i] = backend.EnvParent + `={"runner":"somebody else"}`
			}
		}
	}
	_, err := s.open(flame.Config{Min: 1, BootTimeout: 5 * time.Second})
	var boot *flame.BootError
	if !errors.As(err, &boot) {
		s.Errorf("Open says %v, want a *BootError", err)
	}
	s.allDone()
}

func (s *suite) diesByItself() {
	if s.local {
		s.Skip("a runner in the parent's own process cannot exit alone")
	}
	p := s.mustOpen(flame.Config{})
	err := flame.Run(s.ctx, p, func(context.Context) error {
		fmt.Fprintln(os.Stderr, "the last words")
		os.Exit(7)
		return nil
	})
	var lost *flame.RunnerLostError
	if !errors.As(err, &lost) || !lost.Started || lost.ExitCode != 7 {
		s.Fatalf("a runner that exits with 7: %v", err)
	}
	if err := flame.Run(s.ctx, p, func(context.Context) error { return nil }); err != nil {
		s.Errorf("the next call: %v", err)
	}
}

func (s *suite) closes() {
	p := s.mustOpen(flame.Config{Min: 2})
	if err := p.Close(); err != nil {
		s.Error(err)
	}
	s.allDone()
}

func (s *suite) allDone() {
	for _, i := range s.backend.booted() {
		select {
		case <-i.Done():
		default:
			s.Errorf("instance %s is left", i.ID())
		}
	}
}

// printed takes what a runner prints.
type printed struct {
	to io.Writer // gets the same

	mu  sync.Mutex // guards what follows
	all []byte
	new chan struct{} // has one whenever there is more
}

// Write takes it, and passes it on.
func (p *printed) Write(b []byte) (int, error) {
	p.mu.Lock()
	p.all = append(p.all, b...)
	p.mu.Unlock()
	select {
	case p.new <- struct{}{}:
	default: // it has one
	}
	if p.to == nil {
		return len(b), nil
	}
	return p.to.Write(b)
}

// String is what it has taken so far.
func (p *printed) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.all)
}

// prints waits for both lines while the runner lives: output that comes at its end only is of no use to who watches.
func (s *suite) prints() {
	if s.local {
		s.Skip("what a runner in the parent's own process prints is the parent's")
	}
	out := &printed{new: make(chan struct{}, 1)}
	s.backend.change = func(spec *backend.Spec) { out.to, spec.Output = spec.Output, out }
	p := s.mustOpen(flame.Config{Max: 1})
	if err := flame.Run(s.ctx, p, func(context.Context) error {
		fmt.Println("a line on stdout")
		fmt.Fprintln(os.Stderr, "a line on stderr")
		return nil
	}); err != nil {
		s.Fatal(err)
	}
	if _, silent := s.backend.Backend.(backend.Silent); silent {
		if err := p.Close(); err != nil || out.String() != "" {
			s.Errorf("a backend.Silent wrote %q; closing the pool says %v", out, err)
		}
		return
	}
	for !strings.Contains(out.String(), "a line on stdout\n") || !strings.Contains(out.String(), "a line on stderr\n") {
		select {
		case <-out.new:
		case <-s.ctx.Done():
			s.Fatalf("Spec.Output got %q; a backend that cannot see what its copies print says so, as a backend.Silent", out)
		}
	}
}

func (s *suite) labels() {
	s.mustOpen(flame.Config{Min: 1})
	for key, value := range s.backend.specs[0].Labels {
		if len(key) > 63 || len(value) > 63 || value == "" {
			s.Errorf("label %q: %q would not do on every engine", key, value)
		}
	}
}

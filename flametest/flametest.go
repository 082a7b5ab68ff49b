// Package flametest helps to test programs that use flame.
//
// [Pool] is a pool for one test whose runners are goroutines of the test's own process, though every value crosses as it
// would to another one. [Faults] are such runners that die, stall and fail to boot when the test says so, or at random.
// Both work inside testing/synctest. [CanCross] checks one function without running it. [Main] makes a test binary
// able to be its own runner, for tests whose runners are real processes.
package flametest

import (
	"log/slog"
	"os"
	"testing"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend/inproc"
	"github.com/fleetinglambda/flame/internal/codec"
)

// Main is for a TestMain: it serves if this process is a runner, else it runs the tests and exits. With it, a pool in a
// test may use processes.
func Main(m *testing.M) {
	flame.ServeIfRunner()
	os.Exit(m.Run())
}

// Option changes what [Pool] opens.
type Option func(*settings)

type settings struct {
	config flame.Config
	own    map[string]any
}

// Config sets the pool's Config. What it leaves out is as for [flame.Open], but for Name, Backend and Logger.
func Config(c flame.Config) Option {
	return func(s *settings) { s.config = c }
}

// PerProcess is [flame.PerProcess] until the test ends: functions that capture v, a pointer or a
// func() (*T, error), mean the same v when they run. Tests that run in parallel cannot give different things one name.
func PerProcess(name string, v any) Option {
	return func(s *settings) { s.own[name] = v }
}

// Pool opens a pool that is closed when the test ends, and fails the test if it cannot. Its default Name is the test's, its
// Backend [inproc.New], and it logs to the test's output.
func Pool(t testing.TB, opts ...Option) *flame.Pool {
	t.Helper()
	s := settings{own: make(map[string]any)}
	for _, o := range opts {
		o(&s)
	}
	for name, v := range s.own {
		if err := codec.Register(name, v); err != nil {
			t.Fatalf("flametest: PerProcess: %v", err)
		}
		t.Cleanup(func() { codec.Unregister(name) })
	}
	c := s.config
	if c.Name == "" {
		c.Name = t.Name()
	}
	if c.Backend == nil {
		c.Backend = inproc.New()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	p, err := flame.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

package flametest_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend/process"
	"github.com/fleetinglambda/flame/flametest"
)

// noted is a test that keeps what it is told.
type noted struct {
	testing.TB
	said []string
}

func (n *noted) Errorf(format string, args ...any) {
	n.said = append(n.said, fmt.Sprintf(format, args...))
}

// server is what a program injects into its handlers.
type server struct {
	mu    sync.Mutex
	files map[string]int
}

func (s *server) count(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[name]++
	return s.files[name]
}

func TestN16_APerProcessIsTheTestsOwn(t *testing.T) {
	for range 2 { // it is given back with the test
		t.Run("", func(t *testing.T) {
			s := &server{files: make(map[string]int)}
			p := flametest.Pool(t, flametest.PerProcess("server", s))
			got, err := flame.Call(t.Context(), p, func(context.Context) (int, error) { return s.count("a"), nil })
			if got != 1 || s.files["a"] != 1 || err != nil {
				t.Errorf("got %d, %v, and the server has %v", got, err, s.files)
			}
		})
	}
}

func TestCanCrossSaysWhatCannot(t *testing.T) {
	name, progress := "name", make(chan int, 1)
	send := (chan<- int)(progress)
	flametest.CanCross(t, func(context.Context) (string, error) { send <- 1; return name, nil })
	flametest.CanCross(t, func(_ context.Context, n int) ([]byte, error) { return nil, nil })
	for want, fn := range map[string]any{
		"a channel crosses in one direction": func(context.Context) error { progress <- 1; return nil },
		"the result":                         func(context.Context) (*os.File, error) { return nil, nil },
		"is for functions":                   name,
		"or nil":                             (func())(nil),
	} {
		n := &noted{TB: t}
		if flametest.CanCross(n, fn); len(n.said) != 1 || !strings.Contains(n.said[0], want) {
			t.Errorf("want %q, got %q", want, n.said)
		}
	}
}

func TestATestBinaryIsItsOwnRunner(t *testing.T) {
	p := flametest.Pool(t, flametest.Config(flame.Config{Backend: process.New(process.Options{Output: t.Output()})}))
	pid, err := flame.Call(t.Context(), p, func(context.Context) (int, error) { return os.Getpid(), nil })
	if pid == os.Getpid() || pid == 0 || err != nil {
		t.Errorf("it ran in process %d, %v", pid, err)
	}
}

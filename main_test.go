//go:build linux

package flame_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/backend/process"
)

// patience is how long anything may take in these tests before it counts as hanging.
const patience = 30 * time.Second

// programVariable makes this test binary another program, one of programs, in a process of its own.
const programVariable = "FLAME_TEST_PROGRAM"

var programs = map[string]func(){
	"parent":   func() { parentProgram(flame.Config{Min: 3, MaxConcurrency: 1}) },
	"cleanup":  func() { cleanupProgram(flame.Config{Min: 1}) },
	"detached": func() { detachedProgram(flame.Config{ShutdownTimeout: 20 * time.Second}) },
	"detached PerCall": func() {
		detachedProgram(flame.Config{ShutdownTimeout: 20 * time.Second, Isolation: flame.PerCall, MaxConcurrency: 2})
	},
	"parent dialled": func() {
		parentProgram(flame.Config{Min: 3, MaxConcurrency: 1, Backend: dialling{process.New(process.Options{})}})
	},
	"parent PerCall": func() {
		parentProgram(flame.Config{Min: 1, MaxConcurrency: 3, Isolation: flame.PerCall, KillGrace: patience})
	},
	"cleanup PerCall": func() { cleanupProgram(flame.Config{Min: 1, Isolation: flame.PerCall}) },
	"detached reader": func() { detachedReaderProgram(flame.Config{}) },
	"detached reader PerCall": func() {
		detachedReaderProgram(flame.Config{Isolation: flame.PerCall})
	},
	"lonely":           lonelyProgram,
	"children":         func() { childrenProgram(flame.Config{}) },
	"children PerCall": func() { childrenProgram(flame.Config{Isolation: flame.PerCall}) },
	"hangs":            hangingProgram,
	"terminal":         func() { terminalProgram(flame.Config{}) },
	"terminal PerCall": func() { terminalProgram(flame.Config{Isolation: flame.PerCall}) },
	"no ServeIfRunner": func() { openAndReport() },
	"exits before":     func() { onRunner(func() { os.Exit(3) }); flame.ServeIfRunner(); openAndReport() },
	"panics before": func() {
		onRunner(func() { panic("cannot read the configuration") })
		flame.ServeIfRunner()
		openAndReport()
	},
	"port in use":     portProgram,
	"PerProcess late": lateProgram,
	"PerProcess type": typeProgram,
	"needy":           needyProgram,
	"lone":            loneProgram,
}

func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0") // of runners: with the race detector, every exit would take a second
	if p := programs[os.Getenv(programVariable)]; p != nil {
		p()
		os.Exit(0)
	}
	flame.PerProcess("isolation", &perProcess)
	flame.ServeIfRunner()
	os.Exit(m.Run())
}

// onRunner runs f if this process is a runner.
func onRunner(f func()) {
	if _, ok := flame.Parent(); ok {
		f()
	}
}

// openAndReport opens a pool with one runner and prints the error.
func openAndReport(i ...flame.Isolation) {
	c := flame.Config{
		Name: "program", Min: 1, BootTimeout: 5 * time.Second, Backend: process.New(process.Options{Output: io.Discard}),
	}
	if len(i) > 0 {
		c.Isolation = i[0]
	}
	p, err := flame.Open(context.Background(), c)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("open")
	p.Close()
}

// beginProgram serves if this is a runner. Else it opens a pool, and listens for what functions tell.
func beginProgram(c flame.Config) (*flame.Pool, net.Listener) {
	flame.ServeIfRunner()
	p, err := flame.Open(context.Background(), c)
	if err != nil {
		panic(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	return p, l
}

// program runs this test binary as another program and returns what it prints.
func program(t *testing.T, name string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), programVariable+"="+name)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("program %q: %v\n%s", name, err, out)
	}
	return string(out)
}

// open opens a pool of processes that is closed after the test.
func open(t *testing.T, c flame.Config) (*flame.Pool, *recorder) {
	t.Helper()
	r := &recorder{Backend: processes(t.Output())}
	if c.Backend != nil {
		r.Backend = c.Backend
	}
	c.Name, c.Backend = "test", r
	if n, ok := r.Backend.(backend.Networked); ok {
		c.Backend = networkedRecorder{r, n}
	}
	p, err := flame.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p, r
}

// recorder is a backend that remembers what it has booted, and may change what it boots.
type recorder struct {
	backend.Backend
	change func(*backend.Spec)

	mu        sync.Mutex
	instances []backend.Instance
}

func (r *recorder) Boot(ctx context.Context, spec backend.Spec) (backend.Instance, error) {
	if r.change != nil {
		r.change(&spec)
	}
	i, err := r.Backend.Boot(ctx, spec)
	if err == nil {
		r.mu.Lock()
		r.instances = append(r.instances, i)
		r.mu.Unlock()
	}
	return i, err
}

// networkedRecorder is a recorder of a backend whose runners dial.
type networkedRecorder struct {
	*recorder
	networked backend.Networked
}

func (r networkedRecorder) Address(ctx context.Context) (listen, dial string, err error) {
	return r.networked.Address(ctx)
}

func (r *recorder) booted() []backend.Instance {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]backend.Instance(nil), r.instances...)
}

// pid returns the process id of the runner that takes the next call.
func pid(t *testing.T, p *flame.Pool) int {
	t.Helper()
	got, err := flame.Call(t.Context(), p, func(context.Context) (int, error) { return os.Getpid(), nil })
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// news hears from functions on runners: they dial its address and write a line.
type news struct {
	addr  string
	lines chan string

	mu   sync.Mutex
	held []net.Conn // of functions that wait for release
}

func listen(t *testing.T) *news {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &news{addr: l.Addr().String(), lines: make(chan string, 1000)}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { n.hear(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		n.release()
		wg.Wait()
	})
	return n
}

func (n *news) hear(c net.Conn) {
	n.mu.Lock()
	n.held = append(n.held, c)
	n.mu.Unlock()
	for s := bufio.NewScanner(c); s.Scan(); {
		n.lines <- s.Text()
	}
	c.Close()
}

// release lets the functions in hold go on.
func (n *news) release() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.held {
		c.Close()
	}
}

// tell is for functions on runners.
func tell(addr, line string) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := fmt.Fprintln(c, line); err != nil {
		return err
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, c) // it ends when the line was heard, so that lines come in order
	return err
}

// hold is for functions on runners: it tells that they have begun and waits for release.
func hold(addr string) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	fmt.Fprintln(c, "begun")
	io.Copy(io.Discard, c) // until it is closed
	return nil
}

// next waits for a line.
func (n *news) next(t *testing.T) string {
	t.Helper()
	select {
	case line := <-n.lines:
		return line
	case <-time.After(patience):
		t.Fatal("no runner has told anything")
		return ""
	}
}

// gone waits until a process has ended.
func gone(t *testing.T, pid int) time.Duration {
	t.Helper()
	start := time.Now()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for syscall.Kill(pid, 0) == nil && !zombie(pid) {
		if <-tick.C; time.Since(start) > patience {
			t.Fatalf("process %d is still there", pid)
		}
	}
	return time.Since(start)
}

// zombie says whether a process has ended and only its parent has not asked for it.
func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, _ := strings.Cut(string(stat), ") ")
	return err == nil && strings.HasPrefix(state, "Z")
}

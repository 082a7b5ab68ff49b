package pool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/internal/session"
)

// cloud is a backend whose runners are goroutines that speak over pipes. A call's message says what its function
// does: "echo", "for 3s", "forever" (until it is cancelled), "stubborn 3s" (cancelled or not), "hold 3s" (the result,
// for so long or until it is cancelled), "clutch 3s" (cancelled or not), "later 3s" (hold it
// then). More words may follow.
type cloud struct {
	bootFor  time.Duration                 // how long a boot takes
	refuse   func(n int) error             // the error of the n-th boot
	silent   func(n int) bool              // the n-th one never joins
	stubborn bool                          // boots go on when they are to stop
	lingers  bool                          // machines do not end when their session does
	joined   func(*session.Session, error) // sees what joins

	mu       sync.Mutex // guards what follows
	machines []*machine
	most     int            // machines at a time
	begun    int            // functions
	ran      map[string]int // functions, by message
}

// machine is a runner.
type machine struct {
	cloud          *cloud
	id             string
	parent, runner net.Conn
	wg             sync.WaitGroup
	cancel         context.CancelFunc
	done           chan struct{}
	dying          sync.Once
	err            error
	stopped        bool // by the pool; guarded by the cloud's lock, as what follows is
	begun          int  // functions
}

func (c *cloud) Boot(ctx context.Context, spec backend.Spec) (backend.Instance, error) {
	m := &machine{cloud: c, id: spec.ID, done: make(chan struct{})}
	m.parent, m.runner = net.Pipe()
	run, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	c.mu.Lock()
	n := len(c.machines)
	c.machines = append(c.machines, m)
	alive := 0
	for _, m := range c.machines {
		if !m.isDone() {
			alive++
		}
	}
	c.most = max(c.most, alive)
	c.mu.Unlock()
	if c.stubborn {
		ctx = context.WithoutCancel(ctx)
	}
	wait := time.NewTimer(c.bootFor)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
		m.die(nil)
		return nil, context.Cause(ctx)
	}
	if c.refuse != nil {
		if err := c.refuse(n); err != nil {
			m.die(nil)
			return nil, err
		}
	}
	if c.silent == nil || !c.silent(n) {
		m.wg.Go(func() { m.serve(run) })
	}
	return m, nil
}

func (m *machine) serve(ctx context.Context) {
	v, err := session.Join(ctx, m.runner, session.Hello{Runner: m.id, Build: "b"}, func(session.Welcome) error { return nil })
	if err != nil {
		return
	}
	defer context.AfterFunc(ctx, func() { v.Close() })()
	v.Serve(func(in *session.Incoming) { m.call(in) })
	if !m.cloud.lingers {
		m.die(nil)
	}
	v.Wait()
}

func (m *machine) call(in *session.Incoming) {
	m.cloud.mu.Lock()
	m.cloud.begun++
	m.begun++
	if m.cloud.ran == nil {
		m.cloud.ran = make(map[string]int)
	}
	m.cloud.ran[string(in.Data)]++
	m.cloud.mu.Unlock()
	ctx := in.Context()
	what, arg, _ := strings.Cut(string(in.Data), " ")
	arg, _, _ = strings.Cut(arg, " ")
	d, _ := time.ParseDuration(arg)
	switch what {
	case "for":
		wait := time.NewTimer(d)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-ctx.Done():
		}
	case "forever":
		<-ctx.Done()
	case "later":
		<-time.After(d)
		in.Hold(nil, false)
		<-ctx.Done()
	case "hold", "clutch":
		in.Hold([][]byte{in.Data}, false)
		hurry := ctx.Done()
		if what == "clutch" {
			hurry = m.done
		}
		select {
		case <-time.After(d):
		case <-hurry:
		}
	case "stubborn":
		select {
		case <-time.After(d):
		case <-m.done:
		}
	}
	in.Reply([][]byte{in.Data})
}

// die ends the machine as a crash would.
func (m *machine) die(err error) {
	m.dying.Do(func() {
		m.err = err
		m.runner.Close()
		close(m.done)
		m.cancel()
	})
}

func (m *machine) isDone() bool {
	select {
	case <-m.done:
		return true
	default:
		return false
	}
}

func (m *machine) ID() string               { return m.id }
func (m *machine) Done() <-chan struct{}    { return m.done }
func (m *machine) Output() []byte           { return []byte("last words") }
func (m *machine) Conn() io.ReadWriteCloser { return m.parent }

func (m *machine) Err() error {
	if !m.isDone() {
		return nil
	}
	return m.err
}

func (m *machine) Stop(context.Context) error {
	m.cloud.mu.Lock()
	m.stopped = true
	m.cloud.mu.Unlock()
	m.die(nil)
	m.wg.Wait()
	return nil
}

// alive returns the machines that are booting or up.
func (c *cloud) alive() []*machine {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.machines), (*machine).isDone)
}

func (c *cloud) booted() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.machines)
}

// config is what most tests want.
func (c *cloud) config() Config {
	return Config{
		Name: "p", Backend: c, Max: 10, MaxConcurrency: 1, Seed: 1,
		BootTimeout: 30 * time.Second, ShutdownTimeout: 30 * time.Second, IdleShutdownAfter: -1,
		Spec: func(_ context.Context, id string) (backend.Spec, error) { return backend.Spec{ID: id}, nil },
		Join: func(ctx context.Context, id string, inst backend.Instance) (*session.Session, error) {
			s, err := session.Accept(ctx, inst.(backend.Connected).Conn(), id,
				session.Welcome{Build: "b", Message: 1 << 20, Silence: time.Minute}, session.DefaultLimits)
			if c.joined != nil {
				c.joined(s, err)
			}
			return s, err
		},
		Logger: slog.New(slog.DiscardHandler),
	}
}

// bubble runs a test where time is not real and checks that nothing is left of the pool after it.
func bubble(t *testing.T, c *cloud, change func(*Config), f func(t *testing.T, p *Pool)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		config := c.config()
		if change != nil {
			change(&config)
		}
		p, err := Open(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			p.Close()
			if left := c.alive(); len(left) > 0 {
				t.Errorf("%d runners are left", len(left))
			}
			if c.most > config.Max {
				t.Errorf("%d runners at a time, max is %d", c.most, config.Max)
			}
		}()
		f(t, p)
	})
}

// calls are calls that were made together.
type calls struct {
	all []*Call
	wg  sync.WaitGroup

	mu   sync.Mutex      // guards what follows
	took []time.Duration // until each had its outcome
	over []int           // in the order in which they ended
}

// make begins calls, one after the other, and does not wait for them. Every second one is asynchronous.
func (cs *calls) make(ctx context.Context, p *Pool, timeout time.Duration, what ...string) *calls {
	for _, w := range what {
		i := len(cs.all)
		begun := time.Now()
		c := message(w)
		c.Timeout = timeout
		cs.mu.Lock()
		cs.all, cs.took = append(cs.all, c), append(cs.took, -1)
		cs.mu.Unlock()
		cs.wg.Add(1)
		ended := func(c *Call) {
			cs.mu.Lock()
			cs.took[i], cs.over = time.Since(begun), append(cs.over, i)
			cs.mu.Unlock()
			cs.wg.Done()
		}
		if c.Ended = ended; i%2 == 1 {
			if err := p.Start(ctx, c); err != nil {
				c.Err = err
				ended(c)
			}
		} else {
			cs.wg.Go(func() {
				p.Do(ctx, c)
				ended(c)
			})
		}
		synctest.Wait()
	}
	return cs
}

func message(what string) *Call {
	return &Call{Encode: func() ([][]byte, error) {
		if what == "unsendable" {
			return nil, errUnsendable
		}
		return [][]byte{[]byte(what)}, nil
	}}
}

var errUnsendable = errors.New("it cannot cross")

func (cs *calls) wait() *calls {
	cs.wg.Wait()
	return cs
}

// succeed fails the test if a call has.
func (cs *calls) succeed(t *testing.T) *calls {
	t.Helper()
	cs.wait()
	for i, c := range cs.all {
		if c.Err != nil {
			t.Errorf("call %d: %v", i, c.Err)
		}
	}
	return cs
}

// last returns how long it took until all had their outcomes.
func (cs *calls) last() time.Duration { return slices.Max(cs.took) }

// times returns n times the same.
func times(n int, what string) []string { return slices.Repeat([]string{what}, n) }

// causes says what an error is, for a test's message.
func causes(err error) string { return fmt.Sprintf("%T: %v", err, err) }

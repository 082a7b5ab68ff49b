package flametest

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/fleetinglambda/flame/backend"
)

// direction is a way that bytes go.
type direction int

const (
	toRunner direction = iota
	toParent
)

// faulty is a runner that can fail. Between it and its parent two goroutines carry the bytes, one each way.
type faulty struct {
	id     string
	inner  backend.Connected // nil: it never came up
	parent net.Conn          // the parent's end
	ours   net.Conn          // the other end of that
	runner io.ReadWriteCloser
	fate   fate
	delay  time.Duration
	wg     sync.WaitGroup // what carries
	forget func()

	once sync.Once
	done chan struct{} // closed when it is gone

	mu    sync.Mutex // guards what follows
	err   error
	clear time.Time // nothing is carried before
	count int       // bytes that have gone the way that counts
	met   bool      // its fate
}

func newFaulty(id string, inner backend.Connected, to fate, delay time.Duration, forget func()) *faulty {
	r := &faulty{id: "faulty-" + id, inner: inner, fate: to, delay: delay, forget: forget, done: make(chan struct{})}
	r.parent, r.ours = net.Pipe()
	if inner == nil {
		return r
	}
	r.runner = inner.Conn()
	r.wg.Go(func() { r.carry(toRunner, r.ours, r.runner) })
	r.wg.Go(func() { r.carry(toParent, r.runner, r.ours) })
	r.wg.Go(func() {
		select {
		case <-inner.Done():
			r.gone(inner.Err())
		case <-r.done:
		}
	})
	return r
}

// ID names the runner.
func (r *faulty) ID() string { return r.id }

// Conn is the parent's end of the connection.
func (r *faulty) Conn() io.ReadWriteCloser { return r.parent }

// Done is closed when it is gone.
func (r *faulty) Done() <-chan struct{} { return r.done }

// Err says how it died.
func (r *faulty) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Stop ends it, as that of inproc does.
func (r *faulty) Stop(ctx context.Context) error {
	r.gone(nil)
	r.cut()
	defer r.wg.Wait()
	if r.inner == nil {
		return nil
	}
	return r.inner.Stop(ctx)
}

func (r *faulty) gone(err error) {
	r.once.Do(func() {
		r.mu.Lock()
		r.err = err
		r.mu.Unlock()
		r.forget()
		close(r.done)
	})
}

func (r *faulty) kill() {
	r.gone(&backend.ExitError{Code: -1, Signal: syscall.SIGKILL})
	r.cut()
}

func (r *faulty) cut() {
	r.ours.Close()
	if r.runner != nil {
		r.runner.Close()
	}
}

func (r *faulty) stall(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clear = time.Now().Add(d)
}

// carry takes bytes from one end to the other until the first is closed; what has left it arrives, then its end does.
func (r *faulty) carry(way direction, from io.Reader, to io.WriteCloser) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			to.Close()
			return
		}
		r.hold(r.fate.delays[way])
		rest := buf[:n]
		if before, happens := r.meet(way, n); happens != nil {
			if before > 0 {
				_, _ = to.Write(rest[:before]) // if that fails, so does the next
			}
			rest = rest[before:]
			happens(r)
			r.hold(nil)
		}
		if _, err := to.Write(rest); err != nil {
			return
		}
	}
}

// hold waits until bytes may go on.
func (r *faulty) hold(delays *rand.Rand) {
	if delays != nil && r.delay > 0 {
		<-time.After(upTo(delays, r.delay))
	}
	for {
		r.mu.Lock()
		left := time.Until(r.clear)
		r.mu.Unlock()
		if left <= 0 {
			return
		}
		select {
		case <-time.After(left):
		case <-r.done:
			return
		}
	}
}

// meet counts n bytes. If something is to happen among them, it returns after how many, and what.
func (r *faulty) meet(way direction, n int) (before int, happens func(*faulty)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if way != r.fate.way || r.met {
		return 0, nil
	}
	before = r.fate.after - r.count
	if r.count += n; before >= n { // the rest, which is not empty then, comes after it
		return 0, nil
	}
	r.met = true
	return before, r.fate.happens
}

// Package inproc runs runners inside the parent's own process, for development and tests. Every value still
// crosses the codec, so what works here works elsewhere, and what production would refuse is refused here.
package inproc

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/internal/runner"
)

// New returns the backend.
func New() backend.Backend { return inproc{} }

type inproc struct{}

// Local states that main is not run again for these runners.
func (inproc) Local() {}

// Boot starts a runner on goroutines of this process.
func (inproc) Boot(ctx context.Context, spec backend.Spec) (backend.Instance, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	ours, theirs := net.Pipe()
	run, cancel := context.WithCancel(context.Background())
	i := &instance{id: "inproc-" + spec.ID, conn: ours, theirs: theirs, cancel: cancel, done: make(chan struct{})}
	i.wg.Go(func() { i.serve(run, spec.ID) })
	return i, nil
}

// instance is a runner on goroutines.
type instance struct {
	id     string
	conn   net.Conn
	theirs net.Conn
	cancel context.CancelFunc
	wg     sync.WaitGroup // serve
	done   chan struct{}  // closed by serve

	mu  sync.Mutex // guards err
	err error      // set before done is closed
}

func (i *instance) serve(ctx context.Context, id string) {
	defer close(i.done)
	j, err := runner.Join(ctx, i.theirs, id)
	if err != nil {
		i.end(err)
		return
	}
	defer context.AfterFunc(ctx, j.Close)()
	_ = j.Serve()   // the parent knows why it ended
	i.wg.Go(j.Wait) // goroutines cannot be killed: what ignores its ended context goes on
}

func (i *instance) end(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.err = err
}

// ID names the runner.
func (i *instance) ID() string { return i.id }

// Conn is the parent's end of the connection.
func (i *instance) Conn() io.ReadWriteCloser { return i.conn }

// Done is closed when the runner takes no call any more and the contexts of its functions have ended.
func (i *instance) Done() <-chan struct{} { return i.done }

// Err says why the runner is gone, if it was not told to go.
func (i *instance) Err() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.err
}

// Stop ends the contexts of the runner's functions and waits for them, until ctx ends: a
// function that ignores its context cannot be stopped inside the process.
func (i *instance) Stop(ctx context.Context) error {
	i.cancel()
	<-i.done
	idle := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(idle)
		i.wg.Wait()
	})
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("inproc: runner %s still runs a function that ignores its ended context", i.id)
	}
}

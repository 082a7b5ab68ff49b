package fly

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/fleetinglambda/flame/backend"
)

// instance is one machine.
type instance struct {
	api  *api
	id   string
	done chan struct{} // closed by follow
	wg   sync.WaitGroup
	err  error // set before done is closed
}

func newInstance(a *api, id string) *instance {
	i := &instance{api: a, id: id, done: make(chan struct{})}
	i.wg.Go(i.follow)
	return i
}

// patience is how long after a failure it is asked again how a machine is.
const patience = 5 * time.Second

// follow waits until the machine is gone, as long as that takes.
func (i *instance) follow() {
	ctx := context.Background()
	for {
		err := i.api.gone(ctx, i.id)
		if err == nil || is(err, http.StatusNotFound) {
			break
		}
		time.Sleep(patience)
	}
	limited, cancel := context.WithTimeout(ctx, undo)
	defer cancel()
	i.err = i.end(limited)
	close(i.done)
}

// end says how it ended, as far as Fly does.
func (i *instance) end(ctx context.Context) error {
	m, err := i.api.get(ctx, i.api.app, i.id)
	if err != nil {
		return fmt.Errorf("fly: machine %s is gone, and it is not known how it ended: %w", i.id, err)
	}
	for _, e := range m.Events {
		x := e.Request.Exit
		switch {
		case e.Type != "exit" || x == nil:
			continue
		case x.OOM:
			return &backend.ExitError{Code: -1, Signal: syscall.SIGKILL, OOM: true}
		case x.Signal > 0:
			return &backend.ExitError{Code: -1, Signal: syscall.Signal(x.Signal)}
		case x.Code != 0:
			return &backend.ExitError{Code: x.Code}
		}
		return nil
	}
	return fmt.Errorf("fly: machine %s was destroyed", i.id)
}

// ID is the machine's.
func (i *instance) ID() string { return i.id }

// Done is closed when the machine is destroyed.
func (i *instance) Done() <-chan struct{} { return i.done }

// Err says how it ended.
func (i *instance) Err() error {
	select {
	case <-i.done:
		return i.err
	default:
		return nil
	}
}

// Stop asks with SIGTERM and insists by destroying the machine. With a context that has ended it does not ask.
func (i *instance) Stop(ctx context.Context) error {
	select {
	case <-i.done:
		return nil
	default:
	}
	if ctx.Err() == nil && i.api.signal(ctx, i.id, "SIGTERM") == nil {
		select {
		case <-i.done:
			return nil
		case <-ctx.Done():
		}
	}
	insist, cancel := context.WithTimeout(context.WithoutCancel(ctx), undo)
	defer cancel()
	if err := i.api.destroy(insist, i.id); err != nil && !is(err, http.StatusNotFound) {
		return fmt.Errorf("fly: destroy machine %s: %w", i.id, err)
	}
	select {
	case <-i.done:
		return nil
	case <-insist.Done():
		return fmt.Errorf("fly: machine %s does not end", i.id)
	}
}

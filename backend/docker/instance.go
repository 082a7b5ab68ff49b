package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/containerd/errdefs"

	"github.com/fleetinglambda/flame/backend"
)

// instance is one container.
type instance struct {
	client *client.Client
	id     string
	output io.Writer
	since  time.Time
	done   chan struct{}      // closed by follow
	life   context.Context    // ends when nobody wants to know any more how the container is
	end    context.CancelFunc // ends it
	wg     sync.WaitGroup

	mu  sync.Mutex // guards what follows
	out backend.Tail
	err error // set before done is closed
}

func newInstance(c *client.Client, id string, output io.Writer) *instance {
	i := &instance{client: c, id: id, output: output, since: time.Now(), done: make(chan struct{})}
	i.life, i.end = context.WithCancel(context.Background())
	return i
}

// start starts the container and follows it from its first moment on.
func (i *instance) start(ctx context.Context) error {
	w, err := i.watch(ctx, container.WaitConditionNextExit)
	if err != nil {
		i.end()
		return err
	}
	if _, err := i.client.ContainerStart(ctx, i.id, client.ContainerStartOptions{}); err != nil {
		i.end()
		w.output.Close()
		return err
	}
	i.wg.Go(func() { i.follow(w) })
	return nil
}

const (
	// leftovers is how long the output of a container that has ended is waited for.
	leftovers = 2 * time.Second
	// afterwards is how late the engine may say that a container's end was for want of memory.
	afterwards = 300 * time.Millisecond
	// again is how long after a failure the engine is asked once more.
	again = 250 * time.Millisecond
	// killed is the exit code of what SIGKILL has ended.
	killed = 128 + int64(syscall.SIGKILL)
)

// watch is what the engine tells of a container while it runs.
type watch struct {
	output client.HijackedResponse
	ended  client.ContainerWaitResult
}

func (i *instance) watch(ctx context.Context, until container.WaitCondition) (*watch, error) {
	attached, err := i.client.ContainerAttach(ctx, i.id, client.ContainerAttachOptions{Stream: true, Stdout: true, Stderr: true})
	if err != nil {
		return nil, err
	}
	ended := i.client.ContainerWait(i.life, i.id, client.ContainerWaitOptions{Condition: until})
	return &watch{attached.HijackedResponse, ended}, nil
}

// follow waits for the container's end while its output is read. An engine that goes away for a while says nothing of its
// containers: how this one is it is asked when it is back.
func (i *instance) follow(w *watch) {
	defer i.end()
	err := i.listen(w)
	for away := new(awayError); errors.As(err, &away); {
		if w, err = i.resume(err); w != nil {
			err = i.listen(w)
		}
	}
	i.mu.Lock()
	i.err = err
	i.mu.Unlock()
	close(i.done)
}

// awayError says that the engine does not answer.
type awayError struct{ cause error }

// Error says it in words.
func (e *awayError) Error() string { return fmt.Sprintf("the engine is away: %v", e.cause) }

// listen reads a container's output until it has ended, or the engine is away.
func (i *instance) listen(w *watch) (err error) {
	var copied sync.WaitGroup
	copied.Go(func() {
		to := io.MultiWriter(i, i.output)
		_, _ = stdcopy.StdCopy(to, to, w.output.Reader) // until the container has ended
	})
	select {
	case r := <-w.ended.Result:
		err = i.exitError(r.StatusCode)
	case failed := <-w.ended.Error:
		err = &awayError{failed}
	}
	_ = w.output.Conn.SetReadDeadline(time.Now().Add(leftovers))
	copied.Wait()
	w.output.Close()
	return err
}

// resume waits for an engine that is away, until nobody wants to know any more. It returns how the container has ended, or what the
// engine tells from now on.
func (i *instance) resume(away error) (*watch, error) {
	wait := time.NewTimer(again)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-i.life.Done():
		return nil, fmt.Errorf("how container %s is cannot be said: %v", i.ID(), away)
	}
	ctx, cancel := context.WithTimeout(i.life, undo)
	defer cancel()
	found, err := i.client.ContainerInspect(ctx, i.id, client.ContainerInspectOptions{})
	switch {
	case isNotFound(err):
		return nil, fmt.Errorf("container %s is gone, and the engine, which was away, does not say how it ended", i.ID())
	case err != nil:
		return nil, &awayError{err}
	case !found.Container.State.Running:
		return nil, i.exitError(int64(found.Container.State.ExitCode))
	}
	w, err := i.watch(ctx, container.WaitConditionNotRunning)
	if err != nil {
		return nil, &awayError{err}
	}
	return w, nil
}

func (i *instance) exitError(code int64) error {
	if code == 0 {
		return nil
	}
	e := &backend.ExitError{Code: int(code)}
	if code > 128 && code < 128+65 {
		e.Code, e.Signal = -1, syscall.Signal(code-128)
	}
	e.OOM = code == killed && i.ranOutOfMemory()
	return e
}

// ranOutOfMemory asks the engine what has happened.
func (i *instance) ranOutOfMemory() bool {
	ctx, cancel := context.WithTimeout(context.Background(), undo)
	defer cancel()
	events := i.client.Events(ctx, client.EventsListOptions{
		Since:   unix(i.since.Add(-time.Second)),
		Until:   unix(time.Now().Add(afterwards)),
		Filters: make(client.Filters).Add("container", i.id).Add("event", "oom"),
	})
	select {
	case <-events.Messages:
		return true
	case err := <-events.Err: // the end of what was asked for, or nobody knows
		_ = err
		return false
	}
}

// unix writes a time as the engine reads it.
func unix(t time.Time) string {
	return strconv.FormatInt(t.Unix(), 10) + fmt.Sprintf(".%09d", t.Nanosecond())
}

// Write keeps the last part of the container's output.
func (i *instance) Write(b []byte) (int, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.out.Write(b)
}

// ID is the short id of the container.
func (i *instance) ID() string { return i.id[:12] }

// Done is closed when the container has ended.
func (i *instance) Done() <-chan struct{} { return i.done }

// Err holds an *backend.ExitError unless the container's process exited with code 0.
func (i *instance) Err() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.err
}

// Output returns the last 64 KiB of what the container wrote.
func (i *instance) Output() []byte {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.out.Bytes()
}

// Stop asks with SIGTERM and insists with SIGKILL. With a context that has ended it does not ask.
func (i *instance) Stop(ctx context.Context) error {
	if ctx.Err() == nil {
		_ = i.signal(ctx, "SIGTERM") // who cannot be asked is insisted on later
		select {
		case <-i.done:
			return nil
		case <-ctx.Done():
		}
	}
	insist, cancel := context.WithTimeout(context.WithoutCancel(ctx), undo)
	defer cancel()
	tick := time.NewTicker(again)
	defer tick.Stop()
	for {
		err := i.signal(insist, "SIGKILL")
		select {
		case <-i.done:
			return nil
		case <-tick.C: // the engine may be away, and come back
		case <-insist.Done():
			i.end()
			return fmt.Errorf("docker: container %s does not end: %w", i.ID(), cmp.Or(err, context.Cause(insist)))
		}
	}
}

// signal sends a signal, unless the container has ended.
func (i *instance) signal(ctx context.Context, signal string) error {
	select {
	case <-i.done:
		return nil
	default:
	}
	_, err := i.client.ContainerKill(ctx, i.id, client.ContainerKillOptions{Signal: signal})
	if err == nil || isNotFound(err) || errdefs.IsConflict(err) || ctx.Err() != nil { // it has ended, or is about to be insisted on
		return nil
	}
	return err
}

func isNotFound(err error) bool { return errdefs.IsNotFound(err) }

var _ backend.Teller = (*instance)(nil)

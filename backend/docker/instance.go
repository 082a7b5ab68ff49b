package docker

import (
	"context"
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
	done   chan struct{} // closed by follow
	wg     sync.WaitGroup

	mu  sync.Mutex // guards what follows
	out backend.Tail
	err error // set before done is closed
}

func newInstance(c *client.Client, id string, output io.Writer) *instance {
	return &instance{client: c, id: id, output: output, since: time.Now(), done: make(chan struct{})}
}

// start starts the container and follows it from its first moment on.
func (i *instance) start(ctx context.Context) error {
	attached, err := i.client.ContainerAttach(ctx, i.id, client.ContainerAttachOptions{Stream: true, Stdout: true, Stderr: true})
	if err != nil {
		return err
	}
	life, end := context.WithCancel(context.Background())
	ended := i.client.ContainerWait(life, i.id, client.ContainerWaitOptions{Condition: container.WaitConditionNextExit})
	if _, err := i.client.ContainerStart(ctx, i.id, client.ContainerStartOptions{}); err != nil {
		end()
		attached.Close()
		return err
	}
	i.wg.Go(func() {
		defer end()
		i.follow(ended, attached.HijackedResponse)
	})
	return nil
}

const (
	// leftovers is how long the output of a container that has ended is waited for.
	leftovers = 2 * time.Second
	// afterwards is how late the engine may say that a container's end was for want of memory.
	afterwards = 300 * time.Millisecond
	// killed is the exit code of what SIGKILL has ended.
	killed = 128 + int64(syscall.SIGKILL)
)

// follow waits for the container's end while its output is read.
func (i *instance) follow(ended client.ContainerWaitResult, attached client.HijackedResponse) {
	var copied sync.WaitGroup
	copied.Go(func() {
		to := io.MultiWriter(i, i.output)
		_, _ = stdcopy.StdCopy(to, to, attached.Reader) // until the container has ended
	})
	var err error
	select {
	case r := <-ended.Result:
		err = i.exitError(r.StatusCode)
	case failed := <-ended.Error:
		err = fmt.Errorf("the engine does not say how container %s ended: %w", i.ID(), failed)
	}
	_ = attached.Conn.SetReadDeadline(time.Now().Add(leftovers))
	copied.Wait()
	attached.Close()
	i.mu.Lock()
	i.err = err
	i.mu.Unlock()
	close(i.done)
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
		if err := i.signal(ctx, "SIGTERM"); err != nil {
			return err
		}
		select {
		case <-i.done:
			return nil
		case <-ctx.Done():
		}
	}
	insist, cancel := context.WithTimeout(context.WithoutCancel(ctx), undo)
	defer cancel()
	if err := i.signal(insist, "SIGKILL"); err != nil {
		return err
	}
	select {
	case <-i.done:
		return nil
	case <-insist.Done():
		return fmt.Errorf("docker: container %s does not end", i.ID())
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
	return fmt.Errorf("docker: stop container %s: %w", i.ID(), err)
}

func isNotFound(err error) bool { return errdefs.IsNotFound(err) }

var _ backend.Teller = (*instance)(nil)

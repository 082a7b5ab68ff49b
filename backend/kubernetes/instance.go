package kubernetes

import (
	"context"
	"fmt"
	"io"
	"math"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/fleetinglambda/flame/backend"
)

// instance is one pod.
type instance struct {
	pods   client.PodInterface
	name   string
	output io.Writer
	room   time.Duration // how long it may wait for a node
	done   chan struct{} // closed by follow
	wg     sync.WaitGroup

	mu      sync.Mutex // guards what follows
	out     backend.Tail
	waiting error // what keeps it from coming up, for now
	stopped bool  // by its parent
	err     error // set before done is closed
}

// newInstance follows a pod from its creation on.
func newInstance(pods client.PodInterface, made *corev1.Pod, output io.Writer, room time.Duration) *instance {
	i := &instance{pods: pods, name: made.Name, output: output, room: room, done: make(chan struct{})}
	i.wg.Go(func() { i.follow(made) })
	return i
}

const (
	// leftovers is how long the output of a pod that has ended is waited for.
	leftovers = 2 * time.Second
	// atOnce is the grace period, in seconds, of what is to go: none would not wait until it has gone.
	atOnce = 1
)

// follow waits for the pod's end while its output is read, and removes what is left of it.
func (i *instance) follow(made *corev1.Pod) {
	life, end := context.WithCancel(context.Background())
	defer end()
	seen := make(chan *corev1.Pod)
	var watch, read sync.WaitGroup
	watch.Go(func() {
		defer close(seen)
		_ = watchPod(life, i.pods, made.Name, made.ResourceVersion, func(pod *corev1.Pod) bool { // it is gone, or life is over
			select {
			case seen <- pod:
			case <-life.Done():
			}
			return false
		})
	})
	over := make(chan struct{})
	err := i.attend(made, seen, func(pod *corev1.Pod) {
		l := &logs{over: over, pods: i.pods, pod: pod.Name, container: pod.Spec.Containers[0].Name, to: io.MultiWriter(i, i.output)}
		read.Go(func() { i.read(life, l) })
	})
	close(over)
	late := time.AfterFunc(leftovers, end)
	read.Wait()
	late.Stop()
	end()
	watch.Wait()
	i.finish(err)
	limited, cancel := context.WithTimeout(context.Background(), undo)
	defer cancel()
	_ = again(limited, func() error { return remove(limited, i.pods, i.name, atOnce) }) // its owner is the last resort
}

// read reads the pod's output.
func (i *instance) read(ctx context.Context, l *logs) {
	if err := l.follow(ctx); err != nil && ctx.Err() == nil {
		fmt.Fprintf(i, "kubernetes: what pod %s writes cannot be read: %v\n", i.name, withAdvice(err))
	}
}

// attend returns how the pod ended, or why it cannot come up. It has it read as soon as it has begun.
func (i *instance) attend(last *corev1.Pod, seen <-chan *corev1.Pod, read func(*corev1.Pod)) error {
	var limit <-chan time.Time // until when what keeps it from coming up has to be out of the way
	for {
		select {
		case <-limit:
			return i.stuck()
		case pod, ok := <-seen:
			if !ok {
				return i.gone(last)
			}
			if last = pod; read != nil && isStarted(pod) {
				read(pod)
				read = nil
			}
			if ended, err := endOf(pod); ended {
				return err
			}
			patience, why := obstacle(pod, i.room)
			i.setWaiting(why)
			switch {
			case why == nil:
				limit = nil
			case limit == nil || patience == 0:
				limit = time.After(patience)
			}
		}
	}
}

// gone says how a pod ended that is not there any more.
func (i *instance) gone(last *corev1.Pod) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.stopped {
		return nil
	}
	if why := reasonOf(last); why != "" && why != errGone.Error() {
		return fmt.Errorf("pod %s was deleted: %s", i.name, why)
	}
	return fmt.Errorf("pod %s was deleted", i.name)
}

// stuck says what keeps a pod from coming up.
func (i *instance) stuck() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	why := i.waiting
	i.waiting = nil
	return fmt.Errorf("pod %s cannot come up: %w", i.name, why)
}

func (i *instance) setWaiting(why error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.waiting = why
}

// finish says how it ended to all who wait.
func (i *instance) finish(err error) {
	i.mu.Lock()
	if i.waiting != nil { // whoever gave up sooner reads it here
		fmt.Fprintf(&i.out, "kubernetes: pod %s did not come up: %v\n", i.name, i.waiting)
	}
	i.err = err
	i.mu.Unlock()
	close(i.done)
}

// Write keeps the last part of the pod's output.
func (i *instance) Write(b []byte) (int, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.out.Write(b)
}

// ID is the name of the pod.
func (i *instance) ID() string { return i.name }

// Done is closed when the runner has ended, or the pod is gone or cannot come up.
func (i *instance) Done() <-chan struct{} { return i.done }

// Err holds an *backend.ExitError if the runner exited with another code than 0, or was killed.
func (i *instance) Err() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.err
}

// Output returns the last 64 KiB of what the pod wrote.
func (i *instance) Output() []byte {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.out.Bytes()
}

// Stop asks with SIGTERM, as the deletion of a pod does, and insists with SIGKILL. With a context that has ended it does not ask.
func (i *instance) Stop(ctx context.Context) error {
	i.mu.Lock()
	i.stopped = true
	i.mu.Unlock()
	if ctx.Err() == nil {
		if err := i.end(ctx, patienceOf(ctx)); err == nil || ctx.Err() == nil {
			return err
		}
	}
	insist, cancel := context.WithTimeout(context.WithoutCancel(ctx), undo)
	defer cancel()
	err := i.end(insist, atOnce)
	if err != nil && insist.Err() != nil {
		return fmt.Errorf("kubernetes: pod %s does not end: %w", i.name, err)
	}
	return err
}

// patienceOf is how long a runner may take that is asked until ctx ends, in seconds.
func patienceOf(ctx context.Context) int64 {
	deadline, ok := ctx.Deadline()
	if !ok {
		return math.MaxInt32
	}
	return max(atOnce, int64(math.Ceil(time.Until(deadline).Seconds())))
}

// end deletes the pod and waits until it has ended.
func (i *instance) end(ctx context.Context, grace int64) error {
	select {
	case <-i.done:
	default:
		if err := again(ctx, func() error { return remove(ctx, i.pods, i.name, grace) }); err != nil {
			return fmt.Errorf("kubernetes: stop pod %s: %w", i.name, withAdvice(err))
		}
	}
	select {
	case <-i.done:
		i.wg.Wait() // nothing is left of it
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

var _ backend.Teller = (*instance)(nil)

// Package kubernetes runs runners as pods of a Kubernetes cluster.
//
// A program that runs in a pod itself needs no settings, only the rights in role.yaml: its runners are pods made from its own one,
// with the same image, by digest, and the same service account, environment, volumes and choice of nodes. One that runs elsewhere
// says which image has the very executable that is running, and where runners reach it.
package kubernetes

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/fleetinglambda/flame/backend"
)

// Options are the settings of New. The zero value is for a program in a pod.
type Options struct {
	// Config says how the API server is reached. Default: as kubectl finds it (KUBECONFIG, ~/.kube/config), and in a pod with the
	// token of its service account.
	Config *rest.Config
	// Namespace is where runners' pods are made. Default: that of this process's own pod; of a process in no pod, the one that
	// its kubeconfig names, or default. Pods are owned by the parent's pod only if they are in its namespace.
	Namespace string
	// Image holds the executable that is running. Default: the image of this process's own container, by its digest.
	Image string
	// Path is where the executable is in the image. Default: where it is in this process's own container; of a process in no
	// pod, the image's entrypoint.
	Path string
	// Listen is where the parent listens for runners, and Dial what they dial, "host:port". No port means any; the port to
	// dial is then the one that is listened at. Default: the address of this process's own pod; of a process in no pod, Dial is
	// required, and Listen is any address.
	Listen, Dial string
	// Env names the variables of the parent's environment that runners get, beside those of its own pod's spec; a name that ends
	// with * is a prefix. Default: none. Their values are in the runner's Secret.
	Env []string
	// CPUs is how many a runner may use, 1.5 for example, and Memory how many bytes; both are requested and are the limits. 0: as the
	// own container's.
	CPUs   float64
	Memory int64
	// GPUs is how many GPUs a runner gets, and GPU the name of the resource; default nvidia.com/gpu.
	GPUs int
	GPU  string
	// Lifetime is after which time Kubernetes itself ends a runner's pod, whatever happens; 0: never.
	Lifetime time.Duration
	// Grace is how long a runner may finish its calls when somebody else ends its pod: kubectl drain, a spot notice. Default: as
	// long as this process's own pod; of a process in no pod, what Kubernetes has as its default.
	Grace time.Duration
	// Unschedulable is how long a pod may wait for room on a node before its boot has failed. Default 5 s. In a cluster that adds
	// nodes by itself it is what that takes, and so is the pool's BootTimeout.
	Unschedulable time.Duration
	// Labels mark the pods, beside those with the prefix flame. None are taken from the own pod, so that no Service and no
	// Deployment takes a runner for one of its pods.
	Labels map[string]string
	// Pod, if not nil, has the last word on what a runner's pod is created with; its first container is the runner. own is
	// this process's own pod, nil if it is in none, and is not to be changed.
	Pod func(own, runner *corev1.Pod)
	// Output gets what runners write to stdout and stderr, as it is, instead of the pool's logger. Writes come from one
	// goroutine per runner, so it must allow several at once, as an *os.File does.
	Output io.Writer
}

// New returns the backend. What is wrong with its settings, or with the cluster, is the error of the first Boot. It is a
// [backend.Networked] and a [backend.Reaper], too.
func New(o Options) backend.Backend {
	return &cluster{Options: o}
}

type cluster struct {
	Options

	mu   sync.Mutex // held while home is found
	home *home      // nil until it has been
}

const (
	// undo is how long what did not come up may take to be removed.
	undo = 10 * time.Second
	// room is how long a pod may wait for room on a node, by default.
	room = 5 * time.Second
)

// Format prints nothing of the settings: the configuration has credentials in it.
func (c *cluster) Format(s fmt.State, _ rune) {
	fmt.Fprintf(s, "kubernetes pods in namespace %q", c.Namespace)
}

// Boot creates a pod, whose name is the runner's id, and a Secret with its invite, which the pod owns.
func (c *cluster) Boot(ctx context.Context, spec backend.Spec) (backend.Instance, error) {
	i, err := c.boot(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("kubernetes: %w", err)
	}
	return i, nil
}

func (c *cluster) boot(ctx context.Context, spec backend.Spec) (backend.Instance, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	h, err := c.booting(ctx)
	if err != nil {
		return nil, err
	}
	pod := c.pod(h, spec)
	if c.Pod != nil {
		c.Pod(h.own, pod)
	}
	made, err := h.create(ctx, pod)
	if err != nil {
		return nil, err
	}
	// A pod waits for a Secret that is not there yet. The other way round the Secret would be without an owner, and left if this
	// process died in between.
	if err := h.entrust(ctx, made, c.secret(made, spec)); err != nil {
		h.forget(ctx, made.Name)
		return nil, err
	}
	output := c.Output
	if output == nil {
		output = spec.Output
	}
	if output == nil {
		output = os.Stderr
	}
	patience := c.Unschedulable
	if patience <= 0 {
		patience = room
	}
	return newInstance(h.core.Pods(h.namespace), made, output, patience), nil
}

// create creates a pod, also if the API server is not there for a moment.
func (h *home) create(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	pods := h.core.Pods(h.namespace)
	var made *corev1.Pod
	unanswered := false // an earlier request, which may have been carried out
	err := again(ctx, func() (err error) {
		made, err = pods.Create(ctx, pod, metav1.CreateOptions{})
		if unanswered && apierrors.IsAlreadyExists(err) {
			made, err = pods.Get(ctx, pod.Name, metav1.GetOptions{})
		}
		unanswered = unanswered || err != nil
		return err
	})
	if err != nil {
		if mayHaveArrived(err) || ctx.Err() != nil {
			h.forget(ctx, pod.Name)
		}
		return nil, fmt.Errorf("create a pod of image %s in namespace %s: %w", pod.Spec.Containers[0].Image, h.namespace, withAdvice(err))
	}
	return made, nil
}

// entrust creates the Secret of a pod.
func (h *home) entrust(ctx context.Context, pod *corev1.Pod, secret *corev1.Secret) error {
	unanswered := false
	err := again(ctx, func() error {
		_, err := h.core.Secrets(h.namespace).Create(ctx, secret, metav1.CreateOptions{})
		if unanswered && apierrors.IsAlreadyExists(err) {
			return nil
		}
		unanswered = unanswered || err != nil
		return err
	})
	if err != nil {
		return fmt.Errorf("create the secret of pod %s in namespace %s: %w", pod.Name, h.namespace, withAdvice(err))
	}
	return nil
}

// forget removes a pod that did not come up, and with it its Secret. It may never have been.
func (h *home) forget(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undo)
	defer cancel()
	_ = again(ctx, func() error { return remove(ctx, h.core.Pods(h.namespace), name, 0) }) // its owner is the last resort
}

// Address is where runners reach this process.
func (c *cluster) Address(ctx context.Context) (listen, dial string, err error) {
	h, err := c.booting(ctx)
	if err != nil {
		return "", "", fmt.Errorf("kubernetes: %w", err)
	}
	return h.listen, h.dial, nil
}

var (
	_ backend.Networked = (*cluster)(nil)
	_ backend.Reaper    = (*cluster)(nil)
)

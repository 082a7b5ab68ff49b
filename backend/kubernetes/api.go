package kubernetes

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	client "k8s.io/client-go/kubernetes/typed/core/v1"
)

const (
	// pause is between attempts while the API server is not there.
	pause = 200 * time.Millisecond
	// outage is how long it may not be there, as when it is restarted.
	outage = 15 * time.Second
	// watching is after what time a watch is begun anew, in seconds.
	watching = int64(300)
)

// again makes a request, and makes it again while the API server is not there or too busy, as long as ctx lasts.
func again(ctx context.Context, request func() error) error {
	var err error
	waited := wait.PollUntilContextTimeout(ctx, pause, outage, true, func(context.Context) (bool, error) {
		err = request()
		return !isPassing(err), nil
	})
	if err == nil && waited != nil {
		err = context.Cause(ctx)
	}
	return err
}

// isPassing says whether an error is of the kind that goes by itself.
func isPassing(err error) bool {
	var transport *url.Error
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return false
	case apierrors.IsServerTimeout(err), apierrors.IsTimeout(err), apierrors.IsTooManyRequests(err), apierrors.IsServiceUnavailable(err):
		return true
	case errors.As(err, new(*tls.CertificateVerificationError)), errors.As(err, new(*net.DNSError)):
		return false
	default:
		return errors.As(err, &transport)
	}
}

// mayHaveArrived says whether a request that has failed may have been carried out all the same.
func mayHaveArrived(err error) bool {
	return isPassing(err) && apierrors.ReasonForError(err) == metav1.StatusReasonUnknown && !utilnet.IsConnectionRefused(err)
}

// remove deletes a pod, which is asked with SIGTERM and killed after a grace period in seconds. One that is gone is fine.
func remove(ctx context.Context, pods client.PodInterface, name string, grace int64) error {
	err := pods.Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: &grace})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// errGone is why a pod is not watched any more: it has been deleted.
var errGone = errors.New("it was deleted")

// watchPod passes on each state of a pod that comes after a version of it, until seen returns true, ctx ends, or the pod is gone, which
// is errGone. A watch that breaks is resumed, however long the API server is not there.
func watchPod(ctx context.Context, pods client.PodInterface, name, version string, seen func(*corev1.Pod) bool) error {
	for {
		done, err := watchOnce(ctx, pods, name, version, seen)
		if done || errors.Is(err, errGone) {
			return err
		}
		if err := aMoment(ctx); err != nil {
			return err
		}
		pod, err := pods.Get(ctx, name, metav1.GetOptions{}) // what was missed, and a version to go on from
		switch {
		case apierrors.IsNotFound(err):
			return errGone
		case err != nil:
			version = ""
		case seen(pod):
			return nil
		default:
			version = pod.ResourceVersion
		}
	}
}

// watchOnce watches until the watch breaks.
func watchOnce(ctx context.Context, pods client.PodInterface, name, version string, seen func(*corev1.Pod) bool) (done bool, _ error) {
	seconds := watching
	w, err := pods.Watch(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("metadata.name", name).String(), ResourceVersion: version, TimeoutSeconds: &seconds,
	})
	if err != nil {
		return false, err
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		if e.Type == watch.Error {
			return false, apierrors.FromObject(e.Object)
		}
		if pod, ok := e.Object.(*corev1.Pod); ok && seen(pod) {
			return true, nil
		}
		if e.Type == watch.Deleted {
			return false, errGone
		}
	}
	return false, nil
}

// aMoment waits for the length of a pause.
func aMoment(ctx context.Context) error {
	wait := time.NewTimer(pause)
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// withAdvice adds to a refusal what can be done about it.
func withAdvice(err error) error {
	if apierrors.IsForbidden(err) && strings.Contains(err.Error(), " cannot ") {
		return fmt.Errorf("%w: the rights that are needed are in role.yaml of this backend", err)
	}
	return err
}

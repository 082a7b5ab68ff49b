package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fleetinglambda/flame/backend"
)

// The two kinds of homes: a pod, as "namespace/name/uid/container", with the process in it after that; or a process of a host.
const (
	inPodPrefix     = "pod/"
	inProcessPrefix = "process/"
)

// inPod is the identity of this process in a container of a pod. Where a process has no identity, the pod has to do.
func inPod(own *corev1.Pod, container string) string {
	process, _ := backend.ThisProcess()
	return fmt.Sprintf("%s%s/%s/%s/%s/%s", inPodPrefix, own.Namespace, own.Name, own.UID, container, process)
}

// onHost is the identity of this process in no pod.
func onHost() (string, error) {
	process, err := backend.ThisProcess()
	return inProcessPrefix + process, err
}

// Reap deletes the pods of parents that are gone: those whose own pod the API server does not have any more, or says that it has ended;
// earlier processes of this very container; and processes of this very host. Their Secrets go with them. It returns their names.
func (c *cluster) Reap(ctx context.Context, dryRun bool) ([]string, error) {
	h, err := c.find(ctx)
	if err != nil {
		return nil, fmt.Errorf("kubernetes: %w", err)
	}
	pods := h.core.Pods(h.namespace)
	var found *corev1.PodList
	if err := again(ctx, func() (err error) {
		found, err = pods.List(ctx, metav1.ListOptions{LabelSelector: runnerLabel})
		return err
	}); err != nil {
		return nil, fmt.Errorf("kubernetes: list pods in namespace %s: %w", h.namespace, withAdvice(err))
	}
	var reaped []string
	var failed []error
	known := make(map[string]bool) // homes, and whether they are gone
	for _, p := range found.Items {
		note := p.Annotations[homeNote]
		gone, asked := known[note]
		var err error
		if !asked {
			gone, err = h.isGone(ctx, note)
			known[note] = gone && err == nil
		}
		if p.DeletionTimestamp != nil {
			continue // it is going
		}
		if err == nil && gone && !dryRun {
			grace := int64(atOnce)
			err = pods.Delete(ctx, p.Name, metav1.DeleteOptions{GracePeriodSeconds: &grace, Preconditions: metav1.NewUIDPreconditions(string(p.UID))})
			if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
				continue // it went by itself
			}
		}
		switch {
		case err != nil:
			failed = append(failed, fmt.Errorf("kubernetes: pod %s: %w", p.Name, err))
		case gone:
			reaped = append(reaped, p.Name)
		}
	}
	return reaped, errors.Join(failed...)
}

// isGone says whether a parent is certainly gone. Of a place that it cannot see into it says no.
func (h *home) isGone(ctx context.Context, note string) (bool, error) {
	if process, ok := strings.CutPrefix(note, inProcessPrefix); ok {
		_, ended, err := backend.Judge(process)
		return ended, err
	}
	parts := strings.SplitN(strings.TrimPrefix(note, inPodPrefix), "/", 5)
	if !strings.HasPrefix(note, inPodPrefix) || len(parts) < 5 {
		return false, nil
	}
	namespace, name, uid, container, process := parts[0], parts[1], parts[2], parts[3], parts[4]
	if h.own != nil && string(h.own.UID) == uid {
		return h.isEarlier(container, process)
	}
	parent, err := h.core.Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return true, nil
	case apierrors.IsForbidden(err):
		return false, nil
	case err != nil:
		return false, err
	}
	return string(parent.UID) != uid || parent.Status.Phase == corev1.PodSucceeded || parent.Status.Phase == corev1.PodFailed, nil
}

// isEarlier says whether a process of this very pod was of its container's life before this one, or has ended in this one.
func (h *home) isEarlier(container, process string) (bool, error) {
	if container != h.container || process == "" {
		return false, nil
	}
	if here, ended, err := backend.Judge(process); here {
		return ended, err
	}
	mine, err := backend.ThisProcess()
	return mine != "", err
}

package kubernetes

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/fleetinglambda/flame/backend"
)

// runnerOf returns the state of a pod's first container, the runner.
func runnerOf(pod *corev1.Pod) corev1.ContainerState {
	for _, s := range pod.Status.ContainerStatuses {
		if s.Name == pod.Spec.Containers[0].Name {
			return s.State
		}
	}
	return corev1.ContainerState{}
}

// isStarted says whether the runner has begun to write.
func isStarted(pod *corev1.Pod) bool {
	s := runnerOf(pod)
	return s.Running != nil || s.Terminated != nil && s.Terminated.Reason != "StartError"
}

// endOf says whether a pod has ended, and how: nil after an exit with code 0.
func endOf(pod *corev1.Pod) (ended bool, _ error) {
	t := runnerOf(pod).Terminated
	switch {
	case t == nil && pod.Status.Phase != corev1.PodFailed:
		return false, nil
	case t == nil:
		return true, reasoned(pod, nil)
	case t.ExitCode == 0:
		return true, nil
	case t.Reason == "StartError" || t.Reason == "ContainerCannotRun":
		return true, fmt.Errorf("pod %s cannot run %s: %s", pod.Name, pod.Spec.Containers[0].Image, t.Message)
	}
	return true, reasoned(pod, exitError(t))
}

// exitError says how a container ended.
func exitError(t *corev1.ContainerStateTerminated) *backend.ExitError {
	e := &backend.ExitError{Code: int(t.ExitCode), OOM: t.Reason == "OOMKilled"}
	if t.ExitCode > 128 && t.ExitCode < 128+65 {
		e.Code, e.Signal = -1, syscall.Signal(t.ExitCode-128)
	}
	return e
}

// reasoned adds to how a runner ended what Kubernetes says of its pod.
func reasoned(pod *corev1.Pod, exit *backend.ExitError) error {
	why := reasonOf(pod)
	switch {
	case exit == nil:
		return fmt.Errorf("pod %s was ended: %s", pod.Name, why)
	case why == "":
		return exit
	default:
		return fmt.Errorf("pod %s was ended: %s: %w", pod.Name, why, exit)
	}
}

// reasonOf is what Kubernetes says of a pod that it has ended; "" if nothing.
func reasonOf(pod *corev1.Pod) string {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue {
			return joined(c.Reason, c.Message)
		}
	}
	switch {
	case pod.Status.Reason != "":
		return joined(pod.Status.Reason, pod.Status.Message)
	case pod.DeletionTimestamp != nil:
		return errGone.Error()
	case pod.Status.Phase == corev1.PodFailed && runnerOf(pod).Terminated == nil:
		return joined("Failed", pod.Status.Message)
	}
	return ""
}

// obstacle says why a pod cannot come up, if it cannot; patience is how long that may last before it counts, room for want of room.
func obstacle(pod *corev1.Pod, room time.Duration) (patience time.Duration, why error) {
	if isStarted(pod) {
		return 0, nil // others may have trouble, which is theirs
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
			return room, errors.New(joined("no node has room for it: "+c.Reason, c.Message))
		}
	}
	statuses := append(append([]corev1.ContainerStatus(nil), pod.Status.InitContainerStatuses...), pod.Status.ContainerStatuses...)
	for _, s := range statuses {
		w := s.State.Waiting
		if w == nil || w.Reason == "" || w.Reason == "ContainerCreating" || w.Reason == "PodInitializing" {
			continue
		}
		if w.Reason == "CreateContainerConfigError" && strings.Contains(w.Message, fmt.Sprintf("%q", pod.Name)) {
			continue // its Secret is about to be there
		}
		return 0, errors.New(joined(w.Reason+" for image "+s.Image, w.Message))
	}
	return 0, nil
}

func joined(reason, message string) string {
	if message = strings.TrimSpace(message); message == "" {
		return reason
	}
	return reason + ": " + message
}

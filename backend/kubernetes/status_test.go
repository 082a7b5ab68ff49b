package kubernetes

import (
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fleetinglambda/flame/backend"
)

// podIn returns a pod whose runner is in a state.
func podIn(state corev1.ContainerState, change func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web-1"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "web"}, {Name: "injected"}}},
		Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
			{Name: "injected", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}, {Name: "app", Image: "web", State: state},
		}},
	}
	if change != nil {
		change(pod)
	}
	return pod
}

func terminated(code int32, reason string) corev1.ContainerState {
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, Message: "its message"}}
}

func waiting(reason, message string) corev1.ContainerState {
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
}

func TestN14_HowAPodHasEnded(t *testing.T) {
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	evicted := func(p *corev1.Pod) {
		p.Status.Phase, p.Status.Reason, p.Status.Message = corev1.PodFailed, "Evicted", "The node was low on resource: memory."
	}
	for _, c := range []struct {
		name string
		pod  *corev1.Pod
		says string // "" not ended, "nil" ended well
		exit backend.ExitError
	}{
		{"running", podIn(running, nil), "", backend.ExitError{}},
		{"exit 0", podIn(terminated(0, "Completed"), nil), "nil", backend.ExitError{}},
		{"exit 7", podIn(terminated(7, "Error"), nil), "exit code 7", backend.ExitError{Code: 7}},
		{"killed", podIn(terminated(137, "Error"), nil), "killed by signal: killed", backend.ExitError{Code: -1}},
		{"out of memory", podIn(terminated(137, "OOMKilled"), nil), "ran out of memory", backend.ExitError{Code: -1, OOM: true}},
		{"not an executable", podIn(terminated(128, "StartError"), nil), "cannot run web: its message", backend.ExitError{}},
		{"evicted", podIn(terminated(137, "Error"), evicted), "Evicted: The node was low on resource: memory.: killed", backend.ExitError{Code: -1}},
		{"evicted before it began", podIn(corev1.ContainerState{}, evicted), "Evicted: The node was low on resource: memory.", backend.ExitError{}},
		{"node lost", podIn(running, func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }), "Failed", backend.ExitError{}},
		{"lifetime over", podIn(terminated(143, "Error"), func(p *corev1.Pod) { p.Status.Reason = "DeadlineExceeded" }), "DeadlineExceeded", backend.ExitError{Code: -1}},
		{"deleted", podIn(terminated(137, "Error"), func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{} }), "it was deleted: killed", backend.ExitError{Code: -1}},
		{"preempted", podIn(terminated(143, "Error"), func(p *corev1.Pod) {
			p.DeletionTimestamp = &metav1.Time{}
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "PreemptionByScheduler", Message: "for another"}}
		}), "PreemptionByScheduler: for another", backend.ExitError{Code: -1}},
	} {
		ended, err := endOf(c.pod)
		var exit *backend.ExitError
		switch errors.As(err, &exit); {
		case ended != (c.says != ""), (err == nil) != (c.says == "" || c.says == "nil"):
			t.Errorf("%s: %v, %v", c.name, ended, err)
		case err != nil && !strings.Contains(err.Error(), c.says):
			t.Errorf("%s: %q is not in: %v", c.name, c.says, err)
		case (exit != nil) != (c.exit != backend.ExitError{}) || exit != nil && (exit.Code != c.exit.Code || exit.OOM != c.exit.OOM):
			t.Errorf("%s: %#v", c.name, exit)
		}
	}
}

func TestF15_WhatKeepsAPodFromComingUp(t *testing.T) {
	unscheduled := func(reason string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: reason, Message: "0/3 nodes are available"}}
		}
	}
	for _, c := range []struct {
		name     string
		pod      *corev1.Pod
		says     string
		patience time.Duration
	}{
		{"being created", podIn(waiting("ContainerCreating", ""), nil), "", 0},
		{"waiting for init containers", podIn(waiting("PodInitializing", ""), nil), "", 0},
		{"its secret is on the way", podIn(waiting("CreateContainerConfigError", `secret "web-1" not found`), nil), "", 0},
		{"another secret is missing", podIn(waiting("CreateContainerConfigError", `secret "web" not found`), nil), `secret "web" not found`, 0},
		{"image missing", podIn(waiting("ImagePullBackOff", "Back-off"), nil), "ImagePullBackOff for image web: Back-off", 0},
		{"no room", podIn(corev1.ContainerState{}, unscheduled("Unschedulable")), "Unschedulable: 0/3 nodes are available", time.Minute},
		{"held back", podIn(corev1.ContainerState{}, unscheduled("SchedulingGated")), "", 0},
		{"another container has trouble later", podIn(corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}, func(p *corev1.Pod) {
			p.Status.ContainerStatuses[0].State = waiting("CrashLoopBackOff", "no")
		}), "", 0},
		{"an init container fails", podIn(waiting("PodInitializing", ""), func(p *corev1.Pod) {
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "first", Image: "init", State: waiting("ErrImagePull", "no")}}
		}), "ErrImagePull for image init: no", 0},
	} {
		patience, why := obstacle(c.pod, time.Minute)
		if (why == nil) != (c.says == "") || why != nil && !strings.Contains(why.Error(), c.says) || patience != c.patience {
			t.Errorf("%s: %v, %v", c.name, patience, why)
		}
	}
}

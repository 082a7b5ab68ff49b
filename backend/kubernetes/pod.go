package kubernetes

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fleetinglambda/flame/backend"
)

const (
	// runnerLabel is on every pod; its value is the runner's id. The pool sets it.
	runnerLabel = "flame.runner"
	// homeNote is the annotation of every pod that says where its parent is.
	homeNote = "flame.home"
	// container is the name of a runner's container where there is none to copy.
	container = "runner"
	// serviceAccountDir is where a pod finds the token of its service account. What is mounted there is added to each pod anew.
	serviceAccountDir = "/var/run/secrets/kubernetes.io/serviceaccount"
)

// pod says what to create.
func (c *cluster) pod(h *home, spec backend.Spec) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: spec.ID, Namespace: h.namespace, Labels: make(map[string]string), Annotations: map[string]string{homeNote: h.identity},
	}}
	for k, v := range spec.Labels {
		pod.Labels[k] = labelValue(v)
	}
	maps.Copy(pod.Labels, c.Labels)
	runner := corev1.Container{Name: container}
	if h.own != nil {
		runner = *h.containerOf(h.own)
		pod.Spec = likeOwn(h.own, &runner)
		if h.namespace == h.own.Namespace {
			pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: h.own.Name, UID: h.own.UID}}
		}
	}
	runner.Image = h.image
	if h.path != "" {
		runner.Command = []string{literal(h.path)}
	}
	runner.Args = nil
	for _, a := range spec.Args[1:] {
		runner.Args = append(runner.Args, literal(a))
	}
	runner.WorkingDir = cmp.Or(spec.Dir, runner.WorkingDir)
	runner.Env = c.env(runner.Env, spec)
	c.resources(&runner)
	pod.Spec.Containers = []corev1.Container{runner}
	pod.Spec.RestartPolicy = corev1.RestartPolicyNever
	if c.Lifetime > 0 {
		seconds := int64(math.Ceil(c.Lifetime.Seconds()))
		pod.Spec.ActiveDeadlineSeconds = &seconds
	}
	if c.Grace > 0 {
		seconds := int64(math.Ceil(c.Grace.Seconds()))
		pod.Spec.TerminationGracePeriodSeconds = &seconds
	}
	return pod
}

// likeOwn is what a runner's pod has in common with its parent's. Ports, probes and hooks are the parent's alone, as are rules about
// pods it is to be near to or far from, and init containers.
func likeOwn(own *corev1.Pod, runner *corev1.Container) corev1.PodSpec {
	own = own.DeepCopy()
	s := own.Spec
	c := *runner.DeepCopy()
	*runner = corev1.Container{
		Name: c.Name, WorkingDir: c.WorkingDir, Env: c.Env, EnvFrom: c.EnvFrom, Resources: c.Resources,
		VolumeDevices: c.VolumeDevices, ImagePullPolicy: c.ImagePullPolicy, SecurityContext: c.SecurityContext,
		VolumeMounts: slices.DeleteFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == serviceAccountDir }),
	}
	like := corev1.PodSpec{
		ServiceAccountName: s.ServiceAccountName, AutomountServiceAccountToken: s.AutomountServiceAccountToken,
		ImagePullSecrets: s.ImagePullSecrets, SecurityContext: s.SecurityContext, HostUsers: s.HostUsers, HostNetwork: s.HostNetwork,
		NodeSelector: s.NodeSelector, Tolerations: s.Tolerations, SchedulerName: s.SchedulerName,
		PriorityClassName: s.PriorityClassName, RuntimeClassName: s.RuntimeClassName, OS: s.OS,
		DNSPolicy: s.DNSPolicy, DNSConfig: s.DNSConfig, HostAliases: s.HostAliases, EnableServiceLinks: s.EnableServiceLinks,
		TerminationGracePeriodSeconds: s.TerminationGracePeriodSeconds,
	}
	if s.Affinity != nil && s.Affinity.NodeAffinity != nil {
		like.Affinity = &corev1.Affinity{NodeAffinity: s.Affinity.NodeAffinity}
	}
	for _, v := range s.Volumes {
		mounted := func(m corev1.VolumeMount) bool { return m.Name == v.Name }
		if slices.ContainsFunc(runner.VolumeMounts, mounted) ||
			slices.ContainsFunc(runner.VolumeDevices, func(d corev1.VolumeDevice) bool { return d.Name == v.Name }) {
			like.Volumes = append(like.Volumes, v)
		}
	}
	return like
}

// env adds to the own container's variables those that are in the Secret, which take their place.
func (c *cluster) env(own []corev1.EnvVar, spec backend.Spec) (env []corev1.EnvVar) {
	secret := make(map[string]bool)
	for _, v := range spec.Allowed(c.Env...) {
		name, _, _ := strings.Cut(v, "=")
		secret[name] = true
		env = append(env, corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: spec.ID}, Key: name,
		}}})
	}
	for _, v := range own {
		if !secret[v.Name] {
			env = append(env, v)
		}
	}
	return env
}

// secret holds the variables that are not for everybody's eyes. It goes with its pod.
func (c *cluster) secret(pod *corev1.Pod, spec backend.Spec) *corev1.Secret {
	fixed := true
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: pod.Name, Namespace: pod.Namespace, Labels: pod.Labels,
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID}},
		},
		Immutable: &fixed, Data: make(map[string][]byte),
	}
	for _, v := range spec.Allowed(c.Env...) {
		name, value, _ := strings.Cut(v, "=")
		s.Data[name] = []byte(value)
	}
	return s
}

// resources sets what a runner may use where that is not as in the own container.
func (c *cluster) resources(runner *corev1.Container) {
	set := func(name corev1.ResourceName, q *resource.Quantity) {
		for _, list := range []*corev1.ResourceList{&runner.Resources.Requests, &runner.Resources.Limits} {
			*list = maps.Clone(*list)
			if *list == nil {
				*list = make(corev1.ResourceList)
			}
			(*list)[name] = *q
		}
	}
	if c.CPUs > 0 {
		set(corev1.ResourceCPU, resource.NewMilliQuantity(int64(math.Ceil(c.CPUs*1000)), resource.DecimalSI))
	}
	if c.Memory > 0 {
		set(corev1.ResourceMemory, resource.NewQuantity(c.Memory, resource.BinarySI))
	}
	if c.GPUs > 0 {
		set(corev1.ResourceName(cmp.Or(c.GPU, "nvidia.com/gpu")), resource.NewQuantity(int64(c.GPUs), resource.DecimalSI))
	}
}

// literal writes an argument so that Kubernetes does not take part of it for a variable.
func literal(s string) string { return strings.ReplaceAll(s, "$", "$$") }

// labelValue makes a value one that Kubernetes takes.
func labelValue(v string) string {
	v = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.' {
			return r
		}
		return '-'
	}, v)
	return strings.Trim(v[:min(len(v), 63)], "-_.")
}

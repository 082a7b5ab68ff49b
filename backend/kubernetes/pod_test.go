package kubernetes

import (
	"fmt"
	"net"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fleetinglambda/flame/backend"
)

// ownPod is the pod of a parent with much in it.
func ownPod() *corev1.Pod {
	yes, grace := true, int64(90)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web-abc", Namespace: "shop", UID: "42", Labels: map[string]string{"app": "web"}},
		Spec: corev1.PodSpec{
			ServiceAccountName: "web", NodeName: "node-7", NodeSelector: map[string]string{"disk": "fast"}, TerminationGracePeriodSeconds: &grace,
			RestartPolicy: corev1.RestartPolicyAlways, ImagePullSecrets: []corev1.LocalObjectReference{{Name: "registry"}},
			Tolerations:     []corev1.Toleration{{Key: "spot"}},
			SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: &yes},
			Affinity:        &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{}, PodAntiAffinity: &corev1.PodAntiAffinity{}},
			InitContainers:  []corev1.Container{{Name: "migrate"}},
			Containers: []corev1.Container{
				{Name: "proxy", Image: "proxy:1"},
				{
					Name: "app", Image: "registry.example:5000/web:v3", Command: []string{"sh", "-c", "/bin/web"}, ImagePullPolicy: corev1.PullAlways,
					Ports: []corev1.ContainerPort{{ContainerPort: 80, HostPort: 80}}, LivenessProbe: &corev1.Probe{}, Lifecycle: &corev1.Lifecycle{},
					Env:             []corev1.EnvVar{{Name: "A", Value: "spec"}, {Name: "B", Value: "spec"}},
					EnvFrom:         []corev1.EnvFromSource{{Prefix: "X_"}},
					Resources:       corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")}},
					SecurityContext: &corev1.SecurityContext{ReadOnlyRootFilesystem: &yes},
					VolumeMounts:    []corev1.VolumeMount{{Name: "data", MountPath: "/data"}, {Name: "kube-api-access-x", MountPath: serviceAccountDir}},
				},
			},
			Volumes: []corev1.Volume{{Name: "data"}, {Name: "kube-api-access-x"}, {Name: "proxy-config"}},
		},
		Status: corev1.PodStatus{PodIP: "10.1.2.3", ContainerStatuses: []corev1.ContainerStatus{
			{Name: "proxy", ImageID: "proxy@sha256:11"},
			{Name: "app", ImageID: "docker-pullable://mirror.example/web@sha256:22"},
		}},
	}
}

func podOf(o Options, own *corev1.Pod) *corev1.Pod {
	h := &home{own: own, container: "app", namespace: "shop", image: "web@sha256:22", path: "/bin/web", identity: "pod/shop/web-abc/42/app/"}
	return (&cluster{Options: o}).pod(h, backend.Spec{
		ID: "web-1", Args: []string{"web", "-price=$(HOME)"}, Env: []string{backend.EnvParent + "=invite", "B=mine", "C=mine"},
		Labels: map[string]string{runnerLabel: "web-1", "flame.parent": "a host/7_"},
	})
}

func TestF15_ARunnersPodIsLikeItsParents(t *testing.T) {
	own := ownPod()
	before := own.DeepCopy()
	pod := podOf(Options{}, own)
	c := pod.Spec.Containers[0]
	for what, ok := range map[string]bool{
		"one container, the parent's": len(pod.Spec.Containers) == 1 && c.Name == "app" && len(pod.Spec.InitContainers) == 0,
		"image and command":           c.Image == "web@sha256:22" && fmt.Sprint(c.Command, c.Args) == "[/bin/web] [-price=$$(HOME)]",
		"no ports, probes, hooks":     c.Ports == nil && c.LivenessProbe == nil && c.Lifecycle == nil,
		"limits":                      reflect.DeepEqual(c.Resources, own.Spec.Containers[1].Resources),
		"security":                    c.SecurityContext != nil && pod.Spec.SecurityContext != nil,
		"environment from elsewhere":  len(c.EnvFrom) == 1,
		"volumes that it mounts":      len(pod.Spec.Volumes) == 1 && pod.Spec.Volumes[0].Name == "data" && len(c.VolumeMounts) == 1,
		"service account":             pod.Spec.ServiceAccountName == "web" && pod.Spec.ImagePullSecrets[0].Name == "registry",
		"nodes":                       pod.Spec.NodeName == "" && pod.Spec.NodeSelector["disk"] == "fast" && len(pod.Spec.Tolerations) == 1,
		"node affinity alone":         pod.Spec.Affinity.NodeAffinity != nil && pod.Spec.Affinity.PodAntiAffinity == nil,
		"grace":                       *pod.Spec.TerminationGracePeriodSeconds == 90,
		"never restarted":             pod.Spec.RestartPolicy == corev1.RestartPolicyNever,
		"owner":                       len(pod.OwnerReferences) == 1 && pod.OwnerReferences[0].UID == "42",
		"none of its labels":          pod.Labels["app"] == "" && pod.Labels[runnerLabel] == "web-1" && pod.Labels["flame.parent"] == "a-host-7",
		"its home":                    pod.Annotations[homeNote] == "pod/shop/web-abc/42/app/",
		"the own pod as it was":       reflect.DeepEqual(own, before),
	} {
		if !ok {
			t.Errorf("%s: %+v", what, pod)
		}
	}
}

func TestB12_VariablesOfTheProcessAreInTheSecret(t *testing.T) {
	o := Options{Env: []string{"B"}}
	pod := podOf(o, ownPod())
	var got []string
	for _, v := range pod.Spec.Containers[0].Env {
		from := v.Value
		if v.ValueFrom != nil {
			from = v.ValueFrom.SecretKeyRef.Name + "/" + v.ValueFrom.SecretKeyRef.Key
		}
		got = append(got, v.Name+"="+from)
	}
	if want := "[FLAME_PARENT=web-1/FLAME_PARENT B=web-1/B A=spec]"; fmt.Sprint(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
	pod.UID = "43"
	s := (&cluster{Options: o}).secret(pod, backend.Spec{Env: []string{backend.EnvParent + "=invite", "B=mine", "C=mine"}})
	if len(s.Data) != 2 || string(s.Data["B"]) != "mine" || s.Name != "web-1" || s.OwnerReferences[0].UID != "43" {
		t.Errorf("%+v", s)
	}
}

func TestF15_LimitsTakeThePlaceOfTheParents(t *testing.T) {
	pod := podOf(Options{CPUs: 1.5, Memory: 512 << 20, GPUs: 2, Lifetime: 90 * time.Minute, Grace: 1500 * time.Millisecond}, ownPod())
	r := pod.Spec.Containers[0].Resources
	for _, list := range []corev1.ResourceList{r.Requests, r.Limits} {
		gpus := list["nvidia.com/gpu"]
		if list.Cpu().String() != "1500m" || list.Memory().String() != "512Mi" || gpus.String() != "2" {
			t.Errorf("%+v", list)
		}
	}
	if *pod.Spec.ActiveDeadlineSeconds != 5400 || *pod.Spec.TerminationGracePeriodSeconds != 2 {
		t.Errorf("%+v", pod.Spec)
	}
}

func TestF15_AProgramInNoPodHasPodsWithNothingButItsSettings(t *testing.T) {
	pod := podOf(Options{}, nil)
	if len(pod.OwnerReferences) > 0 || pod.Spec.Containers[0].Name != container || pod.Spec.ServiceAccountName != "" {
		t.Errorf("%+v", pod)
	}
}

func TestT14_TheImageIsNamedByItsDigest(t *testing.T) {
	for _, c := range []struct{ spec, id, want string }{
		{"registry.example:5000/web:v3", "docker-pullable://registry.example:5000/web@sha256:22", "registry.example:5000/web@sha256:22"},
		{"registry.example:5000/web", "registry.example:5000/web@sha256:22", "registry.example:5000/web@sha256:22"},
		{"web@sha256:11", "docker.io/library/web@sha256:22", "web@sha256:22"},
		{"web:v3@sha256:11", "docker.io/library/web@sha256:22", "web@sha256:22"},
		{"shop/web:v3", "docker.io/shop/web@sha256:22", "shop/web@sha256:22"},
		{"web:v3", "docker.io/library/import-2026-01-31@sha256:22", "web:v3"},
		{"local/web:v3", "sha256:33", "local/web:v3"},
		{"local/web:v3", "", "local/web:v3"},
	} {
		own := ownPod()
		own.Spec.Containers[1].Image, own.Status.ContainerStatuses[1].ImageID = c.spec, c.id
		if got := imageOf(own, &own.Spec.Containers[1]); got != c.want {
			t.Errorf("%s with id %s: got %s, want %s", c.spec, c.id, got, c.want)
		}
	}
}

func TestTheOwnContainerIsFoundInItsMounts(t *testing.T) {
	mounts := "1 2 0:1 / / rw - overlay overlay rw\n" +
		"642 622 8:1 /var/lib/kubelet/pods/0b1fe9a3-8d4a-4b5e-9f0b-2f4dd8e5a111/containers/app/1a2b3c4d /dev/termination-log rw,relatime - ext4 /dev/sda1 rw\n"
	found := ownMount.FindStringSubmatch(mounts)
	if len(found) != 3 || found[1] != "0b1fe9a3-8d4a-4b5e-9f0b-2f4dd8e5a111" || found[2] != "app" {
		t.Errorf("%q", found)
	}
	h := &home{}
	for name, want := range map[string]string{"app": "app", "": "proxy", "elsewhere": "proxy"} {
		h.container = name
		if got := h.containerOf(ownPod()).Name; got != want {
			t.Errorf("%q: %s", name, got)
		}
	}
}

func TestF15_ARunnerDialsTheAddressOfItsParentsPod(t *testing.T) {
	for _, c := range []struct{ variable, status, listen, dial string }{
		{"", "10.1.2.3", "10.1.2.3:0", "10.1.2.3"},
		{"10.9.9.9", "10.1.2.3", "10.9.9.9:0", "10.9.9.9"},
		{"", "fd00::7", "[fd00::7]:0", "fd00::7"},
		{"", "", "127.0.0.1:0", "127.0.0.1"}, // faces the API server
	} {
		t.Setenv("POD_IP", c.variable)
		h := &home{own: ownPod(), container: "app", image: "web"}
		h.own.Status.PodIP = c.status
		if err := h.settleIn(t.Context(), "", "https://127.0.0.1:6443"); err != nil || h.listen != c.listen || h.dial != c.dial || h.namespace != "shop" {
			t.Errorf("%+v: %+v, %v", c, h, err)
		}
		if _, _, err := net.SplitHostPort(h.listen); err != nil {
			t.Error(err)
		}
	}
}

func TestB12_TheBackendDoesNotPrintItsSettings(t *testing.T) {
	b := New(Options{Namespace: "shop", Image: "secret"})
	if text := fmt.Sprintf("%v %+v %#v", b, b, b); strings.Contains(text, "secret") {
		t.Error(text)
	}
}

func TestT11_TheRightsInTheManualAreThoseThatAreTested(t *testing.T) {
	role, err := os.ReadFile("role.yaml")
	if err != nil {
		t.Fatal(err)
	}
	manual, err := os.ReadFile("../../docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(manual), string(role)) {
		t.Error("role.yaml is not in docs/kubernetes.md as it is")
	}
}

//go:build linux

package kubernetes_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/backend/kubernetes"
)

// parentProgram opens a pool of pods and waits to be killed. In a pod it needs no settings; elsewhere they are in its arguments.
func parentProgram() {
	var o kubernetes.Options
	if len(os.Args) == 4 {
		o = kubernetes.Options{
			Namespace: os.Args[1], Image: os.Args[2], Dial: os.Args[3], Path: "/app",
			Pod: func(_, runner *corev1.Pod) { withLibraries(runner) },
		}
	}
	if dir := os.Getenv(livesVariable); dir != "" && os.Mkdir(dir+"/first", 0o700) == nil {
		o.CPUs, o.Unschedulable = 1000, time.Hour
		time.AfterFunc(2*time.Second, func() { os.Exit(3) })
	}
	p, err := flame.Open(context.Background(), flame.Config{Name: os.Getenv(parentVariable), Min: 2, Backend: kubernetes.New(o)})
	fmt.Println("open", err)
	if err != nil {
		os.Exit(1)
	}
	if os.Getpid() == 1 { // in a pod stdin has nothing from the start
		select {}
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	p.Close()
}

// livesVariable names a folder. The first parent that finds it empty dies while its runners wait for a node.
const livesVariable = "FLAME_TEST_LIVES"

// inPod starts a pod with this executable, as a Deployment would: it has a sidecar, and labels, ports and probes of its own.
func (s *set) inPod(t *testing.T, name string, env map[string]string, args ...string) {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyOnFailure, Hostname: "not-the-name-of-the-pod",
			Volumes: []corev1.Volume{{Name: "lives", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
			Containers: []corev1.Container{{
				Name: "app", Image: s.image, Args: args, Ports: []corev1.ContainerPort{{ContainerPort: 8080}},
				VolumeMounts: []corev1.VolumeMount{{Name: "lives", MountPath: "/lives"}},
				Env:          []corev1.EnvVar{{Name: "FROM_SPEC", Value: "yes"}},
			}},
		},
	}
	for k, v := range env {
		pod.Spec.Containers[0].Env = append(pod.Spec.Containers[0].Env, corev1.EnvVar{Name: k, Value: v})
	}
	withLibraries(pod)
	if _, err := s.core.Pods(s.namespace).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		now := int64(0)
		_ = s.core.Pods(s.namespace).Delete(context.Background(), name, metav1.DeleteOptions{GracePeriodSeconds: &now}) // it may be gone
	})
}

// get returns a pod.
func (s *set) get(t *testing.T, name string) *corev1.Pod {
	t.Helper()
	pod, err := s.core.Pods(s.namespace).Get(context.Background(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

// logs returns what a pod has written; "" if it has not begun.
func (s *set) logs(name string) string {
	text, _ := s.core.Pods(s.namespace).GetLogs(name, &corev1.PodLogOptions{}).DoRaw(context.Background())
	return string(text)
}

func TestF15_TheSuiteIsPassedInAPodWithTheLeastRights(t *testing.T) {
	s := cluster(t)
	s.inPod(t, "suite", nil, "-test.v", "-test.run", "^TestF15_KubernetesPassesTheSuite$")
	eventually(t, "the tests in the pod have ended", func() bool {
		phase := s.get(t, "suite").Status.Phase
		return phase == corev1.PodSucceeded || strings.Contains(s.logs("suite"), "FAIL")
	})
	if text := s.logs("suite"); !strings.Contains(text, "\nPASS\n") || strings.Contains(text, "SKIP") {
		t.Error(text)
	}
	s.nothingIsLeft(t, "backendtest")
}

func TestF15_AProgramInAPodNeedsNoSettings(t *testing.T) {
	s := cluster(t)
	// Given a parent in a pod,
	s.inPod(t, "parent", map[string]string{parentVariable: "kubernetes-inside"})
	eventually(t, "its pool is open", func() bool { return strings.Contains(s.logs("parent"), "open <nil>") })
	own, runners := s.get(t, "parent"), s.pods(t, "kubernetes-inside")
	if len(runners) != 2 {
		t.Fatalf("%d runners", len(runners))
	}
	// then its runners are pods like its own,
	for _, r := range runners {
		c := r.Spec.Containers[0]
		name, _, _ := strings.Cut(c.Image, "@") // by its digest, if the node knows one
		if !strings.HasPrefix(own.Spec.Containers[0].Image, name) || c.Command[0] != "/app" || len(c.Ports) > 0 || r.Labels["app"] != "" ||
			r.Spec.ServiceAccountName != own.Spec.ServiceAccountName || len(r.Spec.Volumes) != len(own.Spec.Volumes) {
			t.Errorf("%+v", r.Spec)
		}
		if len(r.OwnerReferences) != 1 || r.OwnerReferences[0].UID != own.UID {
			t.Errorf("it is owned by %+v", r.OwnerReferences)
		}
	}
	// and go when its pod is deleted.
	s.deleteNow(t, "parent")
	s.nothingIsLeft(t, "kubernetes-inside")
}

func TestB11_AContainerThatIsRestartedRemovesWhatItsFirstProcessLeft(t *testing.T) {
	s := cluster(t)
	s.inPod(t, "reborn", map[string]string{parentVariable: "kubernetes-reborn", livesVariable: "/lives"})
	eventually(t, "its first runners wait", func() bool { return len(s.pods(t, "kubernetes-reborn")) == 2 })
	first := s.pods(t, "kubernetes-reborn")
	eventually(t, "its second pool is open", func() bool { return strings.Contains(s.logs("reborn"), "open <nil>") })
	eventually(t, "the first runners are gone", func() bool {
		return !slices.ContainsFunc(s.pods(t, "kubernetes-reborn"), func(p corev1.Pod) bool { return p.Name == first[0].Name || p.Name == first[1].Name })
	})
	if n := len(s.pods(t, "kubernetes-reborn")); n != 2 {
		t.Errorf("%d runners", n)
	}
}

// deleteNow deletes a pod without asking it.
func (s *set) deleteNow(t *testing.T, name string) {
	t.Helper()
	now := int64(0)
	if err := s.core.Pods(s.namespace).Delete(t.Context(), name, metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		t.Fatal(err)
	}
}

// beginParent starts a parent in a process of this host, with two runners.
func (s *set) beginParent(t *testing.T, pool string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], s.namespace, s.image, s.dial)
	cmd.Env = append(os.Environ(), parentVariable+"="+pool)
	cmd.Stderr = t.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait() // it may have been killed
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "open <nil>\n" {
		t.Fatalf("the parent says %q, %v", line, err)
	}
	return cmd
}

func TestB11_PodsGoWhenTheirParentIsKilled(t *testing.T) {
	s := cluster(t)
	cmd := s.beginParent(t, "kubernetes-orphans")
	if n := len(s.pods(t, "kubernetes-orphans")); n != 2 {
		t.Fatalf("%d pods", n)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "they have ended", func() bool { return s.running(t, "kubernetes-orphans") == 0 })
	r := kubernetes.New(s.options(t)).(backend.Reaper)
	_ = cmd.Wait()
	if _, err := r.Reap(t.Context(), false); err != nil {
		t.Error(err)
	}
	s.nothingIsLeft(t, "kubernetes-orphans")
}

// running returns how many pods of a pool have not ended.
func (s *set) running(t *testing.T, pool string) (n int) {
	t.Helper()
	for _, p := range s.pods(t, pool) {
		if p.Status.Phase == corev1.PodPending || p.Status.Phase == corev1.PodRunning {
			n++
		}
	}
	return n
}

func TestB11_ReapRemovesWhatADeadParentLeftAndNothingElse(t *testing.T) {
	s := cluster(t)
	// Given four parents: a process and a pod that die, one of each that live,
	dead := s.beginParent(t, "kubernetes-dead")
	s.beginParent(t, "kubernetes-alive")
	s.inPod(t, "alive", map[string]string{parentVariable: "kubernetes-alive-pod"})
	s.inPod(t, "ended", map[string]string{parentVariable: "kubernetes-ended-pod"})
	for _, name := range []string{"alive", "ended"} {
		eventually(t, "pools in pods are open", func() bool { return strings.Contains(s.logs(name), "open <nil>") })
	}
	// whose runners nobody else collects,
	for _, pool := range []string{"kubernetes-dead", "kubernetes-ended-pod", "kubernetes-alive-pod"} {
		for _, p := range s.pods(t, pool) {
			if _, err := s.core.Pods(s.namespace).Patch(t.Context(), p.Name, "application/merge-patch+json", []byte(`{"metadata":{"ownerReferences":null}}`), metav1.PatchOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := dead.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = dead.Wait()
	s.deleteNow(t, "ended")
	// when another one looks,
	reap := func(dryRun bool) string {
		names, err := kubernetes.New(s.options(t)).(backend.Reaper).Reap(t.Context(), dryRun)
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(names)
		return strings.Join(slices.DeleteFunc(names, func(name string) bool { // what earlier tests have left is none of ours
			return !regexp.MustCompile("^kubernetes-(dead|ended|alive)").MatchString(name)
		}), " ")
	}
	var want []string
	for _, p := range append(s.pods(t, "kubernetes-dead"), s.pods(t, "kubernetes-ended-pod")...) {
		want = append(want, p.Name)
	}
	slices.Sort(want)
	if would := reap(true); len(want) != 4 || would != strings.Join(want, " ") || len(s.pods(t, "kubernetes-dead")) != 2 {
		t.Fatalf("a dry run names %q", would)
	}
	// then it removes what the dead ones left.
	if did := reap(false); did != strings.Join(want, " ") {
		t.Errorf("removed %q, not %q", did, want)
	}
	s.nothingIsLeft(t, "kubernetes-dead")
	s.nothingIsLeft(t, "kubernetes-ended-pod")
	if n := s.running(t, "kubernetes-alive") + s.running(t, "kubernetes-alive-pod"); n != 4 {
		t.Errorf("%d pods of live parents are left", n)
	}
	if again := reap(false); again != "" {
		t.Errorf("then it removes %q", again)
	}
}

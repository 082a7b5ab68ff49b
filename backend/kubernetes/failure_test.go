//go:build linux

package kubernetes_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend/kubernetes"
)

// soon is within what time a failure is reported that Kubernetes knows of. The pool's boot timeout is longer.
const soon = 12 * time.Second

func TestBootErrorsSayWhatIsWrong(t *testing.T) {
	s := cluster(t)
	for _, c := range []struct {
		name  string
		wrong func(*kubernetes.Options)
		says  []string
	}{
		{"no such image", func(o *kubernetes.Options) { o.Image = "no-such-image.invalid/app:1" }, []string{"ErrImagePull", "no-such-image.invalid/app:1"}},
		{"an image that may not be pulled", func(o *kubernetes.Options) {
			o.Image = "no-such-image.invalid/app:1"
			o.Pod = func(_, pod *corev1.Pod) { pod.Spec.Containers[0].ImagePullPolicy = corev1.PullNever }
		}, []string{"ErrImageNeverPull", "no-such-image.invalid/app:1"}},
		{"no image's name", func(o *kubernetes.Options) { o.Image = "App!" }, []string{"InvalidImageName", "App!"}},
		{"no such file", func(o *kubernetes.Options) { o.Path = "/elsewhere" }, []string{"/elsewhere", "no such file"}},
		{"no such namespace", func(o *kubernetes.Options) { o.Namespace = "nowhere" }, []string{`namespace nowhere`, "not found"}},
		{"no such secret", func(o *kubernetes.Options) {
			o.Pod = func(_, pod *corev1.Pod) {
				pod.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "missing"}}}}
			}
		}, []string{"CreateContainerConfigError", `"missing" not found`}},
		{"no image", func(o *kubernetes.Options) { o.Image = "" }, []string{"Options.Image"}},
		{"no address", func(o *kubernetes.Options) { o.Dial = "" }, []string{"Options.Dial"}},
		{"too large", func(o *kubernetes.Options) { o.CPUs, o.Unschedulable = 1000, time.Second }, []string{"Unschedulable", "Insufficient cpu"}},
		{"no such service account", func(o *kubernetes.Options) {
			o.Pod = func(_, pod *corev1.Pod) { pod.Spec.ServiceAccountName = "nobody" }
		}, []string{`serviceaccount "nobody" not found`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := s.options(t)
			c.wrong(&o)
			s.failsSoon(t, o, c.says...)
		})
	}
	s.nothingIsLeft(t, "kubernetes-wrong")
}

// failsSoon opens a pool that cannot be opened.
func (s *set) failsSoon(t *testing.T, o kubernetes.Options, wants ...string) {
	t.Helper()
	start := time.Now()
	_, err := flame.Open(t.Context(), flame.Config{Name: "kubernetes-wrong", Min: 1, Backend: kubernetes.New(o)})
	var boot *flame.BootError
	if !errors.As(err, &boot) {
		t.Fatalf("got %v", err)
	}
	says(t, err, wants...)
	if took := time.Since(start); took > soon {
		t.Errorf("it took %v", took)
	}
}

func TestB11_ABootThatIsGivenUpSaysHowItsPodWas(t *testing.T) {
	s := cluster(t)
	for _, c := range []struct {
		name  string
		wrong func(*kubernetes.Options)
		says  []string
	}{
		{"a firewall", func(o *kubernetes.Options) { o.Dial = "192.0.2.1:9" }, []string{"192.0.2.1:9", "it was not ready in"}},
		{"no room", func(o *kubernetes.Options) { o.CPUs, o.Unschedulable = 1000, time.Hour }, []string{"Insufficient cpu", "it was not ready in"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := s.options(t)
			c.wrong(&o)
			_, err := flame.Open(t.Context(), flame.Config{Name: "kubernetes-wrong", Min: 1, BootTimeout: 3 * time.Second, Backend: kubernetes.New(o)})
			says(t, err, c.says...)
		})
	}
	s.nothingIsLeft(t, "kubernetes-wrong")
}

func TestAQuotaThatIsExceededIsToldAsSuch(t *testing.T) {
	s := cluster(t)
	quotas := s.core.ResourceQuotas(s.namespace)
	_, err := quotas.Create(t.Context(), &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "few"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := quotas.Delete(context.Background(), "few", metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "the quota holds", func() bool {
		q, err := quotas.Get(t.Context(), "few", metav1.GetOptions{})
		return err == nil && q.Status.Hard != nil
	})
	s.failsSoon(t, s.options(t), "exceeded quota: few")
}

func TestT11_RightsThatAreMissingAreToldAsSuch(t *testing.T) {
	s := cluster(t)
	o := s.options(t)
	o.Config = rest.CopyConfig(o.Config)
	o.Config.Impersonate.UserName = "system:serviceaccount:kube-system:default"
	s.failsSoon(t, o, "cannot create resource \"pods\"", "role.yaml")
}

func TestACordonedNodeIsToldAsSuch(t *testing.T) {
	s := cluster(t)
	s.cordon(t, true)
	t.Cleanup(func() { s.cordon(t, false) })
	o := s.options(t)
	o.Unschedulable = time.Second
	var err error
	eventually(t, "the scheduler knows of it", func() bool {
		var p *flame.Pool
		p, err = flame.Open(t.Context(), flame.Config{Name: "kubernetes-wrong", Min: 1, Backend: kubernetes.New(o)})
		if err == nil {
			p.Close()
		}
		return err != nil
	})
	says(t, err, "Unschedulable", "unschedulable")
	s.nothingIsLeft(t, "kubernetes-wrong")
}

// cordon has the nodes take no pods any more, or take them again.
func (s *set) cordon(t *testing.T, cordoned bool) {
	t.Helper()
	nodes, err := s.core.Nodes().List(context.Background(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	patch := fmt.Appendf(nil, `{"spec":{"unschedulable":%v}}`, cordoned)
	for _, n := range nodes.Items {
		if _, err := s.core.Nodes().Patch(context.Background(), n.Name, "application/strategic-merge-patch+json", patch, metav1.PatchOptions{}); err != nil {
			t.Error(err)
		}
	}
	eventually(t, "the nodes are tainted, or not", func() bool {
		nodes, err := s.core.Nodes().List(context.Background(), metav1.ListOptions{})
		return err == nil && !slices.ContainsFunc(nodes.Items, func(n corev1.Node) bool {
			return cordoned != slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeUnschedulable })
		})
	})
}

func TestN14_APodThatIsDeletedUnderACallMayFinishIt(t *testing.T) {
	s := cluster(t)
	p := open(t, s.options(t), flame.Config{})
	task := flame.Start(t.Context(), p, func(ctx context.Context) (string, error) {
		wait := time.NewTimer(3 * time.Second)
		<-wait.C
		return "done", nil
	})
	eventually(t, "it runs", func() bool { return p.Stats().Started > 0 })
	s.deleteAll(t, "kubernetes-test", 30)
	if got, err := task.Wait(t.Context()); err != nil || got != "done" {
		t.Errorf("got %q, %v", got, err)
	}
	s.nothingIsLeft(t, "kubernetes-test")
	if err := flame.Run(t.Context(), p, func(context.Context) error { return nil }); err != nil {
		t.Errorf("the pool: %v", err)
	}
}

func TestN14_APodThatIsDeletedAtOnceIsLostWithTheReason(t *testing.T) {
	s := cluster(t)
	p := open(t, s.options(t), flame.Config{})
	task := flame.Start(t.Context(), p, func(context.Context) (string, error) { select {} })
	eventually(t, "it runs", func() bool { return p.Stats().Started > 0 })
	s.deleteAll(t, "kubernetes-test", 1)
	_, err := task.Wait(t.Context())
	var lost *flame.RunnerLostError
	if !errors.As(err, &lost) || lost.OOM || !lost.Started {
		t.Errorf("got %v", err)
	}
	says(t, err, "deleted")
}

func TestT12_KubernetesEndsAPodWhoseLifetimeIsOver(t *testing.T) {
	s := cluster(t)
	o := s.options(t)
	o.Lifetime, o.Grace = 2*time.Second, time.Second
	p := open(t, o, flame.Config{})
	err := flame.Run(t.Context(), p, func(context.Context) error { select {} })
	says(t, err, "DeadlineExceeded")
}

func TestN14_AnEvictedPodIsLostWithTheReason(t *testing.T) {
	s := cluster(t)
	o := s.options(t)
	libraries := o.Pod
	o.Grace = time.Second
	o.Pod = func(own, pod *corev1.Pod) {
		libraries(own, pod)
		pod.Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceEphemeralStorage: resource.MustParse("1Mi")}
	}
	p := open(t, o, flame.Config{})
	err := flame.Run(t.Context(), p, func(context.Context) error {
		if err := os.WriteFile("/tmp/much", make([]byte, 8<<20), 0o600); err != nil {
			return err
		}
		select {}
	})
	says(t, err, "Evicted", "ephemeral")
}

// deleteAll deletes the pods of a pool.
func (s *set) deleteAll(t *testing.T, pool string, grace int64) {
	t.Helper()
	for _, pod := range s.pods(t, pool) {
		if err := s.core.Pods(s.namespace).Delete(t.Context(), pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &grace}); err != nil {
			t.Fatal(err)
		}
	}
}

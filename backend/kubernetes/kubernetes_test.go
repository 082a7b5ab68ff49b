//go:build linux

package kubernetes_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/backend/backendtest"
	"github.com/fleetinglambda/flame/backend/kubernetes"
)

func TestF15_KubernetesPassesTheSuite(t *testing.T) {
	if os.Getenv("KUBERNETES_SERVICE_HOST") != "" { // in a pod nothing has to be said
		backendtest.Run(t, func(*testing.T) backend.Backend {
			return kubernetes.New(kubernetes.Options{Env: []string{"FLAME_BACKENDTEST"}})
		})
		return
	}
	s := cluster(t)
	backendtest.Run(t, func(t *testing.T) backend.Backend {
		o := s.options(t)
		o.Output = nil
		return kubernetes.New(o)
	})
	s.nothingIsLeft(t, "backendtest")
}

func TestF15_ARunnerIsAPodWithTheLimitsThatWereSet(t *testing.T) {
	s := cluster(t)
	o := s.options(t)
	o.Listen = ":17017" // one port for all
	o.CPUs, o.Memory, o.Labels = 0.25, 256<<20, map[string]string{"team": "video"}
	p := open(t, o, flame.Config{Min: 2})
	host, err := flame.Call(t.Context(), p, func(context.Context) (string, error) { return os.Hostname() })
	if err != nil {
		t.Fatal(err)
	}
	pod, err := s.core.Pods(s.namespace).Get(t.Context(), host, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	limits := pod.Spec.Containers[0].Resources.Limits
	if limits.Cpu().String() != "250m" || limits.Memory().String() != "256Mi" || pod.Labels["team"] != "video" || pod.Spec.RestartPolicy != corev1.RestartPolicyNever {
		t.Errorf("%+v", pod)
	}
	p.Close()
	s.nothingIsLeft(t, "kubernetes-test")
}

func TestB12_NothingSecretIsInTheSpecOfAPod(t *testing.T) {
	s := cluster(t)
	t.Setenv("FLAME_TEST_PASSWORD", "hunter2")
	p := open(t, s.options(t), flame.Config{Min: 1})
	pod := s.pods(t, "kubernetes-test")[0]
	names := s.secrets(t, "kubernetes-test")
	if len(names) != 1 || names[0] != pod.Name {
		t.Fatalf("the secrets are %q, the pod is %s", names, pod.Name)
	}
	secret, err := s.core.Secrets(s.namespace).Get(t.Context(), pod.Name, metav1.GetOptions{})
	if err != nil || len(secret.OwnerReferences) != 1 || secret.OwnerReferences[0].UID != pod.UID || string(secret.Data["FLAME_TEST_PASSWORD"]) != "hunter2" {
		t.Errorf("%v, owned by %+v", err, secret.OwnerReferences)
	}
	text := pod.String()
	for name, value := range secret.Data {
		if strings.Contains(text, string(value)) {
			t.Errorf("the value of %s is in the pod: %s", name, text)
		}
	}
	got, err := flame.Call(t.Context(), p, func(context.Context) (string, error) { return os.Getenv("FLAME_TEST_PASSWORD"), nil })
	if err != nil || got != "hunter2" {
		t.Errorf("the runner has %q, %v", got, err)
	}
}

func TestN14_OutOfMemoryIsToldAsSuch(t *testing.T) {
	s := cluster(t)
	o := s.options(t)
	o.Memory = 64 << 20
	p := open(t, o, flame.Config{})
	err := flame.Run(t.Context(), p, func(context.Context) error {
		var all [][]byte
		for len(all) < 1<<20 {
			all = append(all, bytes.Repeat([]byte{1}, 1<<20))
		}
		return fmt.Errorf("it got %d MiB", len(all))
	})
	var lost *flame.RunnerLostError
	if !errors.As(err, &lost) || !lost.OOM || !lost.Started {
		t.Errorf("got %v", err)
	}
	if err := flame.Run(t.Context(), p, func(context.Context) error { return nil }); err != nil {
		t.Errorf("the pool: %v", err)
	}
}

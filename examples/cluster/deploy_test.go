//go:build linux

package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	apps "k8s.io/client-go/kubernetes/typed/apps/v1"
	core "k8s.io/client-go/kubernetes/typed/core/v1"
	rbac "k8s.io/client-go/kubernetes/typed/rbac/v1"
	"k8s.io/client-go/tools/clientcmd"
)

// manifest is what app.yaml has.
type manifest struct {
	account    corev1.ServiceAccount
	role       rbacv1.Role
	binding    rbacv1.RoleBinding
	deployment appsv1.Deployment
}

// readManifest reads app.yaml; what Kubernetes does not know in it is an error.
func readManifest(t *testing.T) (m manifest) {
	t.Helper()
	text, err := os.ReadFile("app.yaml")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]any{"ServiceAccount": &m.account, "Role": &m.role, "RoleBinding": &m.binding, "Deployment": &m.deployment}
	documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return m
		}
		var kind metav1.TypeMeta
		if err := errors.Join(err, yaml.Unmarshal(document, &kind)); err != nil {
			t.Fatal(err)
		}
		into, ok := kinds[kind.Kind]
		if !ok {
			t.Fatalf("nothing is known of the kind %q", kind.Kind)
		}
		delete(kinds, kind.Kind)
		if err := yaml.UnmarshalStrict(document, into); err != nil {
			t.Fatal(err)
		}
	}
}

func TestT11_TheManifestHasTheRightsThatABackendNeeds(t *testing.T) {
	text, err := os.ReadFile("../../backend/kubernetes/role.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var needed rbacv1.Role
	if err := yaml.UnmarshalStrict(text, &needed); err != nil {
		t.Fatal(err)
	}
	if got := readManifest(t).role; !reflect.DeepEqual(got.Rules, needed.Rules) {
		t.Errorf("got %+v, want %+v", got.Rules, needed.Rules)
	}
}

// cluster is a Kubernetes in which app.yaml is deployed, in a namespace of its own.
type cluster struct {
	namespace string
	core      core.CoreV1Interface
	rbac      rbac.RbacV1Interface
	apps      apps.AppsV1Interface
}

// connect makes the namespace. Without a Kubernetes for tests the test is skipped.
func connect(t *testing.T) *cluster {
	t.Helper()
	if os.Getenv("KUBECONFIG") == "" || os.Getenv("FLAME_TEST_IMPORT") == "" {
		t.Skip("skipped: KUBECONFIG and FLAME_TEST_IMPORT are not set; as root, scripts/kubernetes starts a Kubernetes: scripts/kubernetes go test ./examples/cluster")
	}
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{namespace: fmt.Sprintf("flame-cluster-%d", os.Getpid())}
	var errs [4]error
	c.core, errs[0] = core.NewForConfig(config)
	c.rbac, errs[1] = rbac.NewForConfig(config)
	c.apps, errs[2] = apps.NewForConfig(config)
	_, errs[3] = c.core.Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: c.namespace}}, metav1.CreateOptions{})
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.core.Namespaces().Delete(context.Background(), c.namespace, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	return c
}

// deploy makes what the manifest says and returns the page's address when it is ready.
func (c *cluster) deploy(t *testing.T, m manifest) (url string) {
	t.Helper()
	create := metav1.CreateOptions{}
	_, account := c.core.ServiceAccounts(c.namespace).Create(t.Context(), &m.account, create)
	_, role := c.rbac.Roles(c.namespace).Create(t.Context(), &m.role, create)
	_, binding := c.rbac.RoleBindings(c.namespace).Create(t.Context(), &m.binding, create)
	_, deployment := c.apps.Deployments(c.namespace).Create(t.Context(), &m.deployment, create)
	if err := errors.Join(account, role, binding, deployment); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the deployment is ready", func() bool {
		d, err := c.apps.Deployments(c.namespace).Get(t.Context(), m.deployment.Name, metav1.GetOptions{})
		return err == nil && d.Status.ReadyReplicas == 1
	})
	parents := c.pods(t, "app="+m.deployment.Spec.Template.Labels["app"])
	if len(parents) != 1 {
		t.Fatalf("there are %d parents", len(parents))
	}
	return "http://" + parents[0].Status.PodIP + ":8080"
}

func (c *cluster) pods(t *testing.T, selector string) []corev1.Pod {
	t.Helper()
	found, err := c.core.Pods(c.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		t.Fatal(err)
	}
	return found.Items
}

func (c *cluster) runners(t *testing.T) []corev1.Pod { return c.pods(t, "flame.pool=cluster") }

func TestF15_ADeploymentScalesFromZeroToManyAndBack(t *testing.T) {
	c := connect(t)
	// Given what app.yaml says, but for runners that leave sooner, and a parent that is killed sooner,
	m := readManifest(t)
	pod := &m.deployment.Spec.Template.Spec
	soon := int64(2)
	pod.Containers[0].Args, pod.TerminationGracePeriodSeconds = append(pod.Containers[0].Args, "-idle=3s"), &soon
	makeImage(t, pod.Containers[0].Image)
	url := c.deploy(t, m)
	// then pods come and go with uploads,
	start := time.Now()
	hosts := fromZeroToManyAndBack(t, url, func() int { return len(c.runners(t)) })
	t.Logf("%d pods did it in %s", len(hosts), time.Since(start).Round(100*time.Millisecond))
	if want := seen(t, url).Max; len(hosts) != want {
		t.Errorf("%d hosts have hashed, not %d", len(hosts), want)
	}
	// and those that are at work go with the Deployment.
	for i := range 3 {
		begin(t, url, fmt.Sprintf("file %d will not be all there", i))
	}
	eventually(t, "runners are at work", func() bool { return seen(t, url).Running == 3 })
	if err := c.apps.Deployments(c.namespace).Delete(t.Context(), m.deployment.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	start = time.Now()
	eventually(t, "all pods are gone", func() bool { return len(c.pods(t, "")) == 0 })
	t.Logf("all pods were gone %s after the Deployment was deleted", time.Since(start).Round(100*time.Millisecond))
	secrets, err := c.core.Secrets(c.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "flame.pool=cluster"})
	if err != nil || len(secrets.Items) != 0 {
		t.Errorf("%d Secrets are left, %v", len(secrets.Items), err)
	}
}

// makeImage builds this program and has the node know it, as the Dockerfile says.
func makeImage(t *testing.T, name string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "app")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	app, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	name = "docker.io/library/" + name
	layer := archive(t, map[string][]byte{"app": app})
	image := archive(t, map[string][]byte{
		"layer.tar": layer,
		"config.json": fmt.Appendf(nil, `{"architecture":%q,"os":"linux","config":{"Entrypoint":["/app"],"User":"65534:65534"},"rootfs":{"type":"layers","diff_ids":["sha256:%x"]}}`,
			runtime.GOARCH, sha256.Sum256(layer)),
		"manifest.json": fmt.Appendf(nil, `[{"Config":"config.json","RepoTags":[%q],"Layers":["layer.tar"]}]`, name),
	})
	path = filepath.Join(t.TempDir(), "image.tar")
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), os.Getenv("FLAME_TEST_IMPORT"), path).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// archive makes a tar archive of executables.
func archive(t *testing.T, files map[string][]byte) []byte {
	t.Helper()
	var to bytes.Buffer
	w := tar.NewWriter(&to)
	for name, data := range files {
		err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(data)), Typeflag: tar.TypeReg})
		if _, err2 := w.Write(data); err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return to.Bytes()
}

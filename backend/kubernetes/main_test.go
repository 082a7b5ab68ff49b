//go:build linux

package kubernetes_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	client "k8s.io/client-go/kubernetes/typed/core/v1"
	rbac "k8s.io/client-go/kubernetes/typed/rbac/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/backend/kubernetes"
)

// The tests need a cluster whose node is this host: KUBECONFIG says which, and FLAME_TEST_IMPORT is a command that has its node know
// the image in the docker-archive that it is given.
const importVariable = "FLAME_TEST_IMPORT"

// parentVariable makes this test binary a parent in a process or pod of its own, with a pool of that name.
const parentVariable = "FLAME_TEST_PARENT"

func TestMain(m *testing.M) {
	flame.ServeIfRunner()
	if os.Getenv(parentVariable) != "" {
		parentProgram()
		return
	}
	code := m.Run()
	if s, err := stage(); err == nil && s != nil {
		_ = s.core.Namespaces().Delete(context.Background(), s.namespace, metav1.DeleteOptions{}) // all that is left is in it
	}
	os.Exit(code)
}

// set is what the tests have in the cluster: a namespace of their own and an image of this very executable.
type set struct {
	config           *rest.Config
	core             client.CoreV1Interface
	namespace, image string
	dial             string
}

// stage makes it, or returns nil if there is no cluster for tests.
var stage = sync.OnceValues(func() (*set, error) {
	if os.Getenv("KUBECONFIG") == "" || os.Getenv(importVariable) == "" {
		return nil, nil
	}
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return nil, err
	}
	core, err := client.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	s := &set{config: config, core: core, namespace: fmt.Sprintf("flame-test-%d", os.Getpid()), image: fmt.Sprintf("docker.io/library/flame-test:%d", os.Getpid())}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return s, errors.Join(s.importImage(ctx), s.findHost(ctx), s.makeNamespace(ctx, s.namespace))
})

// importImage makes an image of this executable. The libraries that it needs, if it is not static, are mounted.
func (s *set) importImage(ctx context.Context) error {
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return err
	}
	layer, err := archive(file{"tmp/", nil, 0o1777}, file{"app", self, 0o755})
	if err != nil {
		return err
	}
	config := fmt.Sprintf(`{"architecture":"amd64","os":"linux","config":{"Entrypoint":["/app"]},"rootfs":{"type":"layers","diff_ids":["sha256:%x"]}}`, sha256.Sum256(layer))
	manifest := fmt.Sprintf(`[{"Config":"config.json","RepoTags":[%q],"Layers":["layer.tar"]}]`, s.image)
	image, err := archive(file{"manifest.json", []byte(manifest), 0o644}, file{"config.json", []byte(config), 0o644}, file{"layer.tar", layer, 0o644})
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "flame-test-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "image.tar")
	if err := os.WriteFile(path, image, 0o600); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, os.Getenv(importVariable), path).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", os.Getenv(importVariable), err, out)
	}
	return nil
}

// file is what goes into an archive.
type file struct {
	name string
	data []byte
	mode int64
}

func archive(files ...file) ([]byte, error) {
	var to bytes.Buffer
	w := tar.NewWriter(&to)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.data)), Typeflag: tar.TypeReg}
		if f.data == nil {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return to.Bytes(), err
}

// findHost finds this host's address as a node of the cluster, which pods reach.
func (s *set) findHost(ctx context.Context) error {
	nodes, err := s.core.Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	here, err := net.InterfaceAddrs()
	if err != nil {
		return err
	}
	for _, n := range nodes.Items {
		for _, a := range n.Status.Addresses {
			for _, own := range here {
				if ip, _, err := net.ParseCIDR(own.String()); err == nil && ip.Equal(net.ParseIP(a.Address)) {
					s.dial = a.Address
					return nil
				}
			}
		}
	}
	return errors.New("no node of the cluster is this host")
}

// makeNamespace makes a namespace whose default service account has the rights of role.yaml, and no others.
func (s *set) makeNamespace(ctx context.Context, name string) error {
	if _, err := s.core.Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		return err
	}
	text, err := os.ReadFile("role.yaml")
	if err != nil {
		return err
	}
	var role rbacv1.Role
	if err := yaml.UnmarshalStrict(text, &role); err != nil {
		return err
	}
	rights, err := rbac.NewForConfig(s.config)
	if err != nil {
		return err
	}
	if _, err := rights.Roles(name).Create(ctx, &role, metav1.CreateOptions{}); err != nil {
		return err
	}
	_, err = rights.RoleBindings(name).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role.Name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: name, Name: "default"}},
	}, metav1.CreateOptions{})
	for err == nil {
		if _, missing := s.core.ServiceAccounts(name).Get(ctx, "default", metav1.GetOptions{}); missing == nil {
			return nil
		}
		err = context.Cause(ctx)
		<-time.After(50 * time.Millisecond)
	}
	return err
}

// cluster returns what the tests have in the cluster. Without one the test is skipped.
func cluster(t *testing.T) *set {
	t.Helper()
	s, err := stage()
	if err != nil {
		t.Fatal(err)
	}
	if s == nil {
		t.Skipf("skipped: KUBECONFIG and %s are not set; as root, scripts/kubernetes starts a cluster: scripts/kubernetes go test ./backend/kubernetes/...", importVariable)
	}
	return s
}

// options are for runners of the test image, whose parent is a process of this host.
func (s *set) options(t *testing.T) kubernetes.Options {
	return kubernetes.Options{
		Config: s.config, Namespace: s.namespace, Image: s.image, Path: "/app", Dial: s.dial, Env: []string{"FLAME_*", "GORACE"}, Output: t.Output(),
		Pod: func(_, runner *corev1.Pod) { withLibraries(runner) },
	}
}

// withLibraries mounts the host's libraries, for an executable that is not static.
func withLibraries(pod *corev1.Pod) {
	for _, dir := range []string{"lib", "lib64"} {
		if _, err := os.Stat("/" + dir); err != nil {
			continue
		}
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: dir, VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/" + dir}}})
		c := &pod.Spec.Containers[0]
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: dir, MountPath: "/" + dir, ReadOnly: true})
	}
}

func open(t *testing.T, o kubernetes.Options, c flame.Config) *flame.Pool {
	t.Helper()
	if c.Name == "" {
		c.Name = "kubernetes-test"
	}
	c.Backend = kubernetes.New(o)
	p, err := flame.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// pods returns the pods of a pool.
func (s *set) pods(t *testing.T, pool string) []corev1.Pod {
	t.Helper()
	found, err := s.core.Pods(s.namespace).List(context.Background(), metav1.ListOptions{LabelSelector: "flame.pool=" + pool})
	if err != nil {
		t.Fatal(err)
	}
	return found.Items
}

// secrets returns the names of the Secrets of a pool.
func (s *set) secrets(t *testing.T, pool string) (names []string) {
	t.Helper()
	found, err := s.core.Secrets(s.namespace).List(context.Background(), metav1.ListOptions{LabelSelector: "flame.pool=" + pool})
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range found.Items {
		names = append(names, secret.Name)
	}
	return names
}

// nothingIsLeft waits until a pool's pods and Secrets are gone.
func (s *set) nothingIsLeft(t *testing.T, pool string) {
	t.Helper()
	eventually(t, "the pods of "+pool+" are gone", func() bool { return len(s.pods(t, pool)) == 0 })
	eventually(t, "the secrets of "+pool+" are gone", func() bool { return len(s.secrets(t, pool)) == 0 })
}

// eventually waits for what others do.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for start := time.Now(); !is(); {
		if time.Since(start) > 45*time.Second {
			t.Fatalf("never: %s", what)
		}
		wait := time.NewTimer(50 * time.Millisecond)
		<-wait.C
	}
}

// says fails the test if an error does not say all of what is wanted.
func says(t *testing.T, err error, wants ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("there was no error")
	}
	for _, want := range wants {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

var _ backend.Reaper

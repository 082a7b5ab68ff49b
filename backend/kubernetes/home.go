package kubernetes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// home is what is known of this process, as far as its runners are concerned.
type home struct {
	core         client.CoreV1Interface
	own          *corev1.Pod // that this process is in; nil if it is in none
	container    string      // that this process is in
	namespace    string
	image, path  string
	listen, dial string
	identity     string // in a note on its pods, for Reap
	lacks        error  // why no runner can be booted from here; nil if one can
}

// settling is how long the API server may take to know of a container that runs already.
const settling = 15 * time.Second

// find returns the home, which is found once.
func (c *cluster) find(ctx context.Context) (*home, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.home != nil {
		return c.home, nil
	}
	config, namespace, err := c.config()
	if err != nil {
		return nil, err
	}
	core, err := client.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("use the API server at %s: %w", config.Host, err)
	}
	h := &home{core: core, image: c.Image, path: c.Path, namespace: cmp.Or(c.Namespace, namespace)}
	if err := h.findOwn(ctx); err != nil {
		return nil, err
	}
	if h.own != nil {
		err = h.settleIn(ctx, c.Namespace, config.Host)
	} else {
		err = h.settleOutside(c.Dial)
	}
	if err != nil {
		return nil, err
	}
	h.listen, h.dial = cmp.Or(c.Listen, h.listen), cmp.Or(c.Dial, h.dial)
	c.home = h
	return h, nil
}

// booting returns the home of one that can boot runners.
func (c *cluster) booting(ctx context.Context) (*home, error) {
	h, err := c.find(ctx)
	if err == nil {
		err = h.lacks
	}
	return h, err
}

// config says how the API server is reached, and the namespace that goes with it. Requests are not held back on this side: the API
// server says itself when it has too many.
func (c *cluster) config() (*rest.Config, string, error) {
	config, namespace := c.Config, metav1.NamespaceDefault
	if config == nil {
		kube := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), nil)
		var err error
		if config, err = kube.ClientConfig(); err != nil {
			return nil, "", fmt.Errorf("find an API server: there is neither a service account's token nor a kubeconfig: %w", err)
		}
		if named, _, err := kube.Namespace(); err == nil {
			namespace = named
		}
	}
	config = rest.CopyConfig(config)
	config.QPS = -1
	config.UserAgent = cmp.Or(config.UserAgent, "flame")
	config.WarningHandler = rest.NoWarnings{}
	return config, namespace, nil
}

// ownMount finds the pod and the container of this process in what is mounted for it.
var ownMount = regexp.MustCompile(`/pods/([0-9a-f-]{36})/containers/([a-z0-9-]+)/[0-9a-f]+ /dev/termination-log `)

// findOwn finds the pod that this process is in, if it is in one of this cluster.
func (h *home) findOwn(ctx context.Context) error {
	namespace, err := os.ReadFile(serviceAccountDir + "/namespace")
	space := cmp.Or(os.Getenv("POD_NAMESPACE"), strings.TrimSpace(string(namespace)))
	if err != nil && space == "" {
		return nil // in no pod, or in one that has no rights
	}
	name := os.Getenv("POD_NAME")
	if name == "" {
		if name, err = os.Hostname(); err != nil {
			return fmt.Errorf("find this process's own pod: %w", err)
		}
	}
	var uid string
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err == nil {
		if found := ownMount.FindSubmatch(mounts); found != nil {
			uid, h.container = string(found[1]), string(found[2])
		}
	}
	h.own, err = h.lookUp(ctx, space, name, uid)
	switch {
	case err != nil:
		return fmt.Errorf("look at this process's own pod %s in namespace %s: %w", name, space, withAdvice(err))
	case h.own != nil, h.image != "": // without a pod: of another cluster
		return nil
	}
	return fmt.Errorf("namespace %s has no pod %s that this process is in: set the variable POD_NAME to metadata.name in its pod's spec", space, name)
}

// lookUp returns the pod of a name, or of a uid where that is known and no pod's name; nil if there is none.
func (h *home) lookUp(ctx context.Context, space, name, uid string) (*corev1.Pod, error) {
	var pod *corev1.Pod
	err := again(ctx, func() (err error) {
		pod, err = h.core.Pods(space).Get(ctx, name, metav1.GetOptions{})
		return err
	})
	if err == nil && (uid == "" || uid == string(pod.UID)) {
		return pod, nil
	}
	switch {
	case err != nil && !apierrors.IsNotFound(err):
		return nil, err
	case uid == "":
		return nil, nil
	}
	all, err := h.core.Pods(space).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for i := range all.Items {
		if string(all.Items[i].UID) == uid {
			return &all.Items[i], nil
		}
	}
	return nil, nil
}

// containerOf returns the container of this process in the spec of its pod.
func (h *home) containerOf(own *corev1.Pod) *corev1.Container {
	name := cmp.Or(h.container, own.Annotations["kubectl.kubernetes.io/default-container"])
	for i := range own.Spec.Containers {
		if own.Spec.Containers[i].Name == name {
			return &own.Spec.Containers[i]
		}
	}
	return &own.Spec.Containers[0]
}

// settleIn fills in what the own pod says.
func (h *home) settleIn(ctx context.Context, namespace, server string) (err error) {
	h.namespace = cmp.Or(namespace, h.own.Namespace)
	if h.container = h.containerOf(h.own).Name; h.image == "" {
		if err := h.awaitStatus(ctx); err != nil {
			return err
		}
		h.image = imageOf(h.own, h.containerOf(h.own))
	}
	h.identity = inPod(h.own, h.container)
	if h.path == "" {
		if h.path, err = os.Executable(); err != nil {
			return fmt.Errorf("find the executable in its image: %w", err)
		}
	}
	if h.dial = cmp.Or(os.Getenv("POD_IP"), h.own.Status.PodIP); h.dial == "" {
		if h.dial, err = facing(server); err != nil {
			return err
		}
	}
	h.listen = net.JoinHostPort(h.dial, "0")
	return nil
}

// awaitStatus waits until the API server knows what the own container runs. It hears of it later than the container begins.
func (h *home) awaitStatus(ctx context.Context) error {
	known := func(pod *corev1.Pod) bool {
		h.own = pod
		s := statusOf(pod, h.container)
		return s != nil && s.ImageID != "" && s.State.Running != nil
	}
	if known(h.own) {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, settling)
	defer cancel()
	if err := watchPod(limited, h.core.Pods(h.own.Namespace), h.own.Name, h.own.ResourceVersion, known); err != nil {
		return fmt.Errorf("wait until the API server knows the image of this process's own pod %s: %w", h.own.Name, err)
	}
	return nil
}

// statusOf returns the status of a container, or nil.
func statusOf(pod *corev1.Pod, container string) *corev1.ContainerStatus {
	for i := range pod.Status.ContainerStatuses {
		if s := &pod.Status.ContainerStatuses[i]; s.Name == container {
			return s
		}
	}
	return nil
}

// imageOf returns the image of a container, by its digest if it came from the registry that the spec names. An image that was brought to
// the node by other means has a digest under another name, or none; there is nothing to pull it from.
func imageOf(own *corev1.Pod, of *corev1.Container) string {
	status := statusOf(own, of.Name)
	if status == nil {
		return of.Image
	}
	id := status.ImageID
	if _, after, ok := strings.Cut(id, "://"); ok {
		id = after
	}
	from, digest, ok := strings.Cut(id, "@")
	name, _, _ := strings.Cut(of.Image, "@")
	if tag := strings.LastIndexByte(name, ':'); tag > strings.LastIndexByte(name, '/') {
		name = name[:tag]
	}
	if !ok || inFull(from) != inFull(name) {
		return of.Image
	}
	return name + "@" + digest
}

// inFull adds to the name of an image what may be left out: web is docker.io/library/web.
func inFull(name string) string {
	registry, _, ok := strings.Cut(name, "/")
	switch {
	case !ok:
		return "docker.io/library/" + name
	case !strings.ContainsAny(registry, ".:") && registry != "localhost":
		return "docker.io/" + name
	}
	return name
}

// facing returns the address of this host that faces the API server.
func facing(server string) (string, error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", fmt.Errorf("find the address that faces the API server: %w", err)
	}
	conn, err := net.Dial("udp", net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "443"))) // nothing is sent
	if err != nil {
		return "", fmt.Errorf("find the address that faces the API server: %w", err)
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).IP.String(), nil
}

// settleOutside fills in what holds for a process in no pod. What it lacks for booting it may not need.
func (h *home) settleOutside(dial string) (err error) {
	if h.image == "" {
		h.lacks = errors.Join(h.lacks, errors.New("this process is in no pod of the cluster: set Options.Image to one that holds this very executable"))
	}
	if dial == "" {
		h.lacks = errors.Join(h.lacks, errors.New("this process is in no pod of the cluster: set Options.Dial to where pods reach it"))
	}
	h.listen = ":0"
	h.identity, err = onHost()
	return err
}

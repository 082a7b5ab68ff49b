package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// home is what is known of this process, as far as its runners are concerned.
type home struct {
	image, path, network string
	listen, dial         string
	identity             string // in the label of its containers, for Reap
}

// find returns the home, which is found once.
func (e *engine) find(ctx context.Context) (*home, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.home != nil {
		return e.home, nil
	}
	if err := e.connectLocked(); err != nil {
		return nil, err
	}
	own, err := e.ownContainer(ctx)
	if err != nil {
		return nil, err
	}
	h := &home{image: e.Image, path: e.Path, network: e.Network}
	if own != nil {
		err = h.settleIn(own)
	} else {
		err = e.settleOutside(ctx, h)
	}
	if err != nil {
		return nil, err
	}
	if e.Listen != "" || e.Dial != "" {
		h.listen, h.dial = cmp.Or(e.Listen, h.listen), cmp.Or(e.Dial, h.dial)
	}
	if h.dial == "" {
		return nil, fmt.Errorf("it is not known how runners on network %q reach this process: set Options.Listen and Options.Dial", h.network)
	}
	e.home = h
	return h, nil
}

// connect sees to it that there is a client.
func (e *engine) connect() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.connectLocked()
}

func (e *engine) connectLocked() error {
	if e.Client != nil {
		return nil
	}
	c, err := client.New(client.FromEnv)
	if err != nil {
		return fmt.Errorf("use the engine that the environment names: %w", err)
	}
	e.Client = c
	return nil
}

// ownMount finds a container's id in the mounts that an engine makes in it.
var ownMount = regexp.MustCompile(`/containers/([0-9a-f]{64})/(?:hostname|hosts|resolv\.conf) `)

// ownContainer returns the container that this process is in, or nil if it is in none of this engine.
func (e *engine) ownContainer(ctx context.Context) (*container.InspectResponse, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, nil // not on linux: in no container
	}
	id := ownMount.FindSubmatch(mounts)
	if id == nil {
		return nil, nil
	}
	found, err := e.Client.ContainerInspect(ctx, string(id[1]), client.ContainerInspectOptions{})
	switch {
	case isNotFound(err): // of another engine
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("look at this process's own container: %w", err)
	}
	return &found.Container, nil
}

// settleIn fills in what the own container says.
func (h *home) settleIn(own *container.InspectResponse) error {
	h.identity = inContainer + own.ID
	h.image = cmp.Or(h.image, own.Image)
	if h.path == "" {
		path, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find the executable in its image: %w", err)
		}
		h.path = path
	}
	networks := own.NetworkSettings.Networks
	if h.network == "" {
		names := slices.Sorted(maps.Keys(networks))
		if len(names) == 0 {
			return errors.New("this process's own container is on no network: set Options.Network, Listen and Dial")
		}
		h.network = names[0]
	}
	if h.network == "host" {
		h.listen, h.dial = "127.0.0.1:0", "127.0.0.1"
	} else if on := networks[h.network]; on != nil && on.IPAddress.IsValid() {
		h.dial = on.IPAddress.String()
		h.listen = net.JoinHostPort(h.dial, "0")
	}
	return nil
}

// settleOutside fills in what holds for a process in no container.
func (e *engine) settleOutside(ctx context.Context, h *home) (err error) {
	if h.image == "" {
		return errors.New("this process is in no container of the engine: set Options.Image to one that holds this very executable")
	}
	if h.identity, err = onHost(); err != nil {
		return err
	}
	h.network = cmp.Or(h.network, "bridge")
	switch host, elsewhere := e.elsewhere(); {
	case e.Dial != "": // all is said
	case elsewhere:
		h.dial, err = facing(host)
		h.listen = ":0"
	case h.network == "host":
		h.listen, h.dial = "127.0.0.1:0", "127.0.0.1"
	default:
		h.dial, err = e.gateway(ctx, h.network)
		h.listen = net.JoinHostPort(h.dial, "0")
	}
	return err
}

// elsewhere says whether the engine is on another host, and where it is reached.
func (e *engine) elsewhere() (host string, is bool) {
	u, err := url.Parse(e.Client.DaemonHost())
	if err != nil || u.Scheme != "tcp" && u.Scheme != "http" && u.Scheme != "https" {
		return "", false
	}
	return u.Host, true
}

// facing returns the address of this host that faces another.
func facing(host string) (string, error) {
	conn, err := net.Dial("udp", host) // nothing is sent
	if err != nil {
		return "", fmt.Errorf("find the address that faces the engine: %w", err)
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).IP.String(), nil
}

// gateway returns the address of this host on a network of the engine.
func (e *engine) gateway(ctx context.Context, network string) (string, error) {
	found, err := e.Client.NetworkInspect(ctx, network, client.NetworkInspectOptions{})
	if err != nil {
		return "", fmt.Errorf("look at network %s: %w", network, err)
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return "", fmt.Errorf("look at this host's addresses: %w", err)
	}
	for _, c := range found.Network.IPAM.Config {
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && c.Subnet.Contains(p.Addr()) {
				return p.Addr().String(), nil
			}
		}
	}
	return "", fmt.Errorf("this host has no address on network %s by which runners could reach this process: set Options.Listen and Options.Dial", network)
}

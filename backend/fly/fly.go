// Package fly runs runners as Fly Machines.
//
// A program that runs on a Fly Machine itself needs no settings but a token: its runners are machines of the same app, image and
// region, and reach it over the app's private network.
package fly

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/fleetinglambda/flame/backend"
)

// Options are the settings of New. What has a variable as its default is required if that is not set.
type Options struct {
	// Token is for the Machines API; one that is for the app alone is enough. Default: FLY_API_TOKEN. It is never printed.
	Token string
	// App is the app that runners belong to. Default: FLY_APP_NAME.
	App string
	// Image holds the executable that is running. Default: FLY_IMAGE_REF.
	Image string
	// Path is where the executable is in the image. Default: where it is in this machine; of a process elsewhere, the
	// image's entrypoint.
	Path string
	// Region is where machines are made. Default: FLY_REGION, or whatever is near.
	Region string
	// CPUKind is shared or performance; default shared. CPUs is how many; default 1. MemoryMB is in MiB; default 256 for
	// each shared CPU, 2048 for each other. GPUKind is the kind of a GPU, if there is to be one.
	CPUKind  string
	CPUs     int
	MemoryMB int
	GPUKind  string
	// Env names the variables of the parent's environment that runners get; a name that ends with * is a prefix. Default: none.
	Env []string
	// Metadata marks the machines, beside what has the prefix flame_.
	Metadata map[string]string
	// Mounts are volumes that exist, by their ids, and where they are mounted. A volume can be in one machine at a time.
	Mounts []Mount
	// Listen is where the parent listens for runners, and Dial what they dial, "host:port". No port means any; the port to
	// dial is then the one that is listened at. Default: FLY_PRIVATE_IP.
	Listen, Dial string
	// URL is where the Machines API is. Default: https://api.machines.dev.
	URL string
	// HTTP makes the requests. Default: a client of its own.
	HTTP *http.Client
}

// Mount is a volume in a machine.
type Mount struct {
	Volume string `json:"volume"`
	Path   string `json:"path"`
}

// New returns the backend. What is wrong with its settings is the error of the first Boot. It is a [backend.Networked] and a
// [backend.Reaper], too.
func New(o Options) backend.Backend {
	own := os.Getenv("FLY_MACHINE_ID")
	o.Token = cmp.Or(o.Token, os.Getenv("FLY_API_TOKEN"))
	o.App = cmp.Or(o.App, os.Getenv("FLY_APP_NAME"))
	o.Image = cmp.Or(o.Image, os.Getenv("FLY_IMAGE_REF"))
	o.Region = cmp.Or(o.Region, os.Getenv("FLY_REGION"))
	o.Dial = cmp.Or(o.Dial, os.Getenv("FLY_PRIVATE_IP"))
	o.URL = cmp.Or(o.URL, "https://api.machines.dev")
	if o.Path == "" && own != "" {
		o.Path, _ = os.Executable() // without it, the image's entrypoint
	}
	f := &platform{options: o, api: newAPI(o)}
	if own != "" {
		f.own = os.Getenv("FLY_APP_NAME") + "/" + own
	}
	return f
}

type platform struct {
	options Options
	own     string // this process's app and machine; "" if it is on none
	api     *api
}

// Format prints nothing of the settings: one of them is the token.
func (f *platform) Format(s fmt.State, _ rune) {
	fmt.Fprintf(s, "fly machines of app %s", f.options.App)
}

// setting is one that has to be there.
type setting struct{ value, field, variable string }

// check says which settings are missing to boot anything.
func (f *platform) check() error {
	return errors.Join(f.checkAccess(), missing(
		setting{f.options.Image, "Image", "FLY_IMAGE_REF"},
		setting{f.options.Dial, "Dial", "FLY_PRIVATE_IP"},
	))
}

// checkAccess says which are missing to ask for anything at all.
func (f *platform) checkAccess() error {
	return missing(setting{f.options.Token, "Token", "FLY_API_TOKEN"}, setting{f.options.App, "App", "FLY_APP_NAME"})
}

func missing(settings ...setting) error {
	var errs []error
	for _, s := range settings {
		if s.value == "" {
			errs = append(errs, fmt.Errorf("fly: Options.%s is not set, and neither is %s", s.field, s.variable))
		}
	}
	return errors.Join(errs...)
}

// Boot creates a machine, which starts at once. Its name is the runner's id. Where there is no room for it at the moment, it is tried
// again as long as ctx lasts.
func (f *platform) Boot(ctx context.Context, spec backend.Spec) (backend.Instance, error) {
	if err := cmp.Or(context.Cause(ctx), f.check()); err != nil {
		return nil, err
	}
	m, err := f.api.create(ctx, f.machine(spec))
	if err != nil {
		f.api.forget(spec.ID)
		return nil, fmt.Errorf("fly: create a machine of %s in app %s: %w", f.options.Image, f.options.App, err)
	}
	i := newInstance(f.api, m.ID)
	return i, nil
}

// machine says what to create.
func (f *platform) machine(spec backend.Spec) *creation {
	o := f.options
	c := &creation{Name: spec.ID, Region: o.Region, Config: config{
		Image: o.Image, AutoDestroy: true, Restart: restart{Policy: "no"}, Mounts: o.Mounts,
		Env: make(map[string]string), Init: initial{Cmd: spec.Args[1:]},
		Metadata: map[string]string{homeKey: f.own},
		Guest:    guest{CPUKind: cmp.Or(o.CPUKind, "shared"), CPUs: max(1, o.CPUs), MemoryMB: o.MemoryMB, GPUKind: o.GPUKind},
	}}
	if g := &c.Config.Guest; g.MemoryMB == 0 {
		g.MemoryMB = 256 * g.CPUs
		if g.CPUKind != "shared" {
			g.MemoryMB = 2048 * g.CPUs
		}
	}
	if o.Path != "" {
		c.Config.Init.Entrypoint = []string{o.Path}
	}
	for _, v := range spec.Allowed(o.Env...) {
		name, value, _ := strings.Cut(v, "=")
		c.Config.Env[name] = value
	}
	for k, v := range spec.Labels {
		c.Config.Metadata[strings.ReplaceAll(k, ".", "_")] = v
	}
	for k, v := range o.Metadata {
		c.Config.Metadata[k] = v
	}
	return c
}

// Address is where runners reach this process.
func (f *platform) Address(context.Context) (listen, dial string, err error) {
	if err := f.check(); err != nil {
		return "", "", err
	}
	return cmp.Or(f.options.Listen, net.JoinHostPort(f.options.Dial, "0")), f.options.Dial, nil
}

// Silent states that what machines print is not seen here: the Machines API has no way to read it. It is in the app's log.
func (*platform) Silent() {}

var (
	_ backend.Networked = (*platform)(nil)
	_ backend.Reaper    = (*platform)(nil)
	_ backend.Silent    = (*platform)(nil)
)

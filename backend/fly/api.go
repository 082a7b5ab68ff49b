package fly

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	"golang.org/x/time/rate"
)

// What is known of the Machines API, and from where:
//
//   - Paths, fields and their types: its published OpenAPI schema (github.com/superfly/fly-openapi-sdk, go/api/openapi.yaml); the
//     part that is used is testdata/schema.json, and the tests hold every request to it.
//   - One request a second for each action, three in a burst: fly.io/docs/machines/api/working-with-machines-api.
//   - That a request may fail for want of room and is to be tried again: fly.io/docs/machines/api/machines-resource.
//   - What an exit event says: github.com/superfly/fly-go, machine_types.go.

// creation is the body that creates a machine.
type creation struct {
	Name   string `json:"name"`
	Region string `json:"region,omitempty"`
	Config config `json:"config"`
}

type config struct {
	Image       string            `json:"image"`
	AutoDestroy bool              `json:"auto_destroy"`
	Restart     restart           `json:"restart"`
	Guest       guest             `json:"guest"`
	Init        initial           `json:"init"`
	Env         map[string]string `json:"env"`
	Metadata    map[string]string `json:"metadata"`
	Mounts      []Mount           `json:"mounts,omitempty"`
}

type restart struct {
	Policy string `json:"policy"`
}

type guest struct {
	CPUKind  string `json:"cpu_kind"`
	CPUs     int    `json:"cpus"`
	MemoryMB int    `json:"memory_mb"`
	GPUKind  string `json:"gpu_kind,omitempty"`
}

type initial struct {
	Entrypoint []string `json:"entrypoint,omitempty"`
	Cmd        []string `json:"cmd,omitempty"`
}

// machine is what is told of one.
type machine struct {
	ID     string  `json:"id"`
	Name   string  `json:"name"`
	State  string  `json:"state"`
	Config config  `json:"config"`
	Events []event `json:"events"`
}

type event struct {
	Type    string `json:"type"`
	Request struct {
		Exit *exit `json:"exit_event"`
	} `json:"request"`
}

// exit is how a machine's process ended.
type exit struct {
	Code   int  `json:"guest_exit_code"`
	Signal int  `json:"guest_signal"`
	OOM    bool `json:"oom_killed"`
}

// api makes requests, slowly enough, and again where that helps.
type api struct {
	token   string
	url     string
	app     string
	client  *retryablehttp.Client
	creates *rate.Limiter
}

const (
	// pace is how many machines may be created in a second, and burst how many at once.
	pace  = 1
	burst = 3
	// tries is how often a request is made again. What it is made for ends before that most often.
	tries = 20
	// undo is how long what did not come up may take to be removed.
	undo = 10 * time.Second
	// maxBody is how much of an answer is read, in bytes.
	maxBody = 1 << 20
)

func newAPI(o Options) *api {
	c := retryablehttp.NewClient()
	if o.HTTP != nil {
		c.HTTPClient = o.HTTP
	}
	c.Logger, c.CheckRetry, c.ErrorHandler = nil, again, retryablehttp.PassthroughErrorHandler
	c.RetryMax, c.RetryWaitMin, c.RetryWaitMax = tries, 250*time.Millisecond, 5*time.Second
	return &api{
		token: o.Token, url: strings.TrimSuffix(o.URL, "/"), app: o.App, client: c, creates: rate.NewLimiter(pace, burst),
	}
}

// setback is the key in a request's context under which the last reason is why it has to be made again.
type setback struct{}

// again says whether to make a request once more. A machine for which there is no room now may find some soon.
func again(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	last := ctx.Value(setback{}).(*error)
	if err != nil {
		*last = err
		return retryablehttp.DefaultRetryPolicy(ctx, resp, err)
	}
	if resp.StatusCode/100 == 2 {
		return false, nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil {
		return true, nil
	}
	*last = answered(resp.StatusCode, body)
	switch text := strings.ToLower(string(body)); resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusPreconditionFailed:
		return true, nil
	case http.StatusConflict, http.StatusUnprocessableEntity:
		return strings.Contains(text, "capacity") || strings.Contains(text, "insufficient"), nil
	}
	return resp.StatusCode >= 500 && resp.StatusCode != http.StatusNotImplemented, nil
}

// answered makes an error of an answer that is no success.
func answered(status int, body []byte) error {
	var said struct{ Error string }
	_ = json.Unmarshal(body, &said) // else the status says enough
	return &refused{status, said.Error}
}

// refused is an answer that is no success.
type refused struct {
	status int
	text   string
}

// Error returns what was answered.
func (r *refused) Error() string {
	return cmp.Or(r.text, http.StatusText(r.status)) + fmt.Sprintf(" (HTTP %d)", r.status)
}

// is says whether err is an answer with a status.
func is(err error, status int) bool {
	r := new(refused)
	return errors.As(err, &r) && r.status == status
}

// do makes a request about the app's machines and reads the answer into out, which may be nil.
func (a *api) do(ctx context.Context, method, path string, in, out any) error {
	return a.request(ctx, method, a.app, path, in, out)
}

func (a *api) request(ctx context.Context, method, app, path string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	var last error
	req, err := retryablehttp.NewRequestWithContext(context.WithValue(ctx, setback{}, &last), method, a.url+"/v1/apps/"+url.PathEscape(app)+"/machines"+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := a.client.Do(req)
	switch {
	case err != nil && ctx.Err() != nil && last != nil:
		return fmt.Errorf("%w; before that: %w", context.Cause(ctx), last)
	case err != nil:
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	switch {
	case err != nil:
		return err
	case resp.StatusCode/100 != 2:
		return answered(resp.StatusCode, text)
	case out == nil:
		return nil
	}
	return json.Unmarshal(text, out)
}

// create creates a machine. If one of that name is there, an answer was lost on the way, and that is it.
func (a *api) create(ctx context.Context, c *creation) (*machine, error) {
	if err := a.creates.Wait(ctx); err != nil {
		return nil, err
	}
	m := new(machine)
	err := a.do(ctx, http.MethodPost, "", c, m)
	if is(err, http.StatusConflict) || is(err, http.StatusUnprocessableEntity) {
		if found := a.named(ctx, c.Name); found != nil {
			return found, nil
		}
	}
	return m, err
}

// named returns the machine of a name, or nil.
func (a *api) named(ctx context.Context, name string) *machine {
	all, err := a.list(ctx)
	if err != nil {
		return nil
	}
	for _, m := range all {
		if m.Name == name {
			return &m
		}
	}
	return nil
}

// forget removes the machine of a name if there is one: the answer to who created it may have been lost.
func (a *api) forget(name string) {
	ctx, cancel := context.WithTimeout(context.Background(), undo)
	defer cancel()
	if m := a.named(ctx, name); m != nil {
		_ = a.destroy(ctx, m.ID) // it ends by itself, too: nobody is there for it
	}
}

func (a *api) list(ctx context.Context) (all []machine, err error) {
	err = a.do(ctx, http.MethodGet, "", nil, &all)
	return all, err
}

func (a *api) get(ctx context.Context, app, id string) (*machine, error) {
	m := new(machine)
	return m, a.request(ctx, http.MethodGet, app, "/"+url.PathEscape(id), nil, m)
}

// poll is how long the API is asked to wait at a time, in seconds.
const poll = "60"

// gone waits until a machine is destroyed.
func (a *api) gone(ctx context.Context, id string) error {
	for {
		err := a.do(ctx, http.MethodGet, "/"+id+"/wait?state=destroyed&timeout="+poll, nil, nil)
		if !is(err, http.StatusRequestTimeout) {
			return err
		}
	}
}

func (a *api) signal(ctx context.Context, id, signal string) error {
	return a.do(ctx, http.MethodPost, "/"+id+"/signal", map[string]string{"signal": signal}, nil)
}

func (a *api) destroy(ctx context.Context, id string) error {
	return a.do(ctx, http.MethodDelete, "/"+id+"?force=true", nil, nil)
}

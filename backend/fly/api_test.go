//go:build linux

package fly_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/time/rate"
)

const token = "FlyV1 fm2_hunter2"

// cloud is a Machines API whose machines are processes of this computer. It holds every request to the published schema.
type cloud struct {
	*httptest.Server
	t       *testing.T
	schemas map[string]*jsonschema.Schema
	creates *rate.Limiter
	wg      sync.WaitGroup

	mu       sync.Mutex // guards what follows
	machines map[string]*vm
	refuse   map[string][]answer // by method and action: what is answered first
	requests map[string]int      // by method and action
	lose     bool                // the next answer to a creation is lost on the way
}

// answer is one that no success is.
type answer struct {
	status int
	text   string
}

// vm is a machine of the cloud.
type vm struct {
	ID     string         `json:"id"`
	Name   string         `json:"name"`
	State  string         `json:"state"`
	Config map[string]any `json:"config"`
	Events []any          `json:"events"`

	cmd  *exec.Cmd
	gone chan struct{}
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	c := &cloud{
		t: t, schemas: make(map[string]*jsonschema.Schema), creates: rate.NewLimiter(1.2, 3), // what comes a little early is no fault
		machines: make(map[string]*vm), refuse: make(map[string][]answer), requests: make(map[string]int),
	}
	text, err := os.ReadFile("testdata/schema.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"CreateMachineRequest", "SignalRequest"} {
		if c.schemas[name], err = compiler.Compile("schema.json#/$defs/" + name); err != nil {
			t.Fatal(err)
		}
	}
	mux := http.NewServeMux()
	const machines = "/v1/apps/{app}/machines"
	mux.HandleFunc("POST "+machines, c.guarded("create", "CreateMachineRequest", c.create))
	mux.HandleFunc("GET "+machines, c.guarded("list", "", c.list))
	mux.HandleFunc("GET "+machines+"/{id}", c.guarded("get", "", c.get))
	mux.HandleFunc("GET "+machines+"/{id}/wait", c.guarded("wait", "", c.wait))
	mux.HandleFunc("POST "+machines+"/{id}/signal", c.guarded("signal", "SignalRequest", c.signal))
	mux.HandleFunc("DELETE "+machines+"/{id}", c.guarded("destroy", "", c.destroy))
	c.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		for _, m := range c.all() {
			c.end(m)
		}
		c.wg.Wait()
		c.CloseClientConnections()
		c.Close()
	})
	return c
}

// guarded checks who asks and what, and refuses what a test wants refused.
func (c *cloud) guarded(action, schema string, do func(http.ResponseWriter, *http.Request, []byte)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if got := r.Header.Get("Authorization"); got != "Bearer "+token {
			c.t.Errorf("%s with the authorization %q", action, got)
		}
		if r.PathValue("app") != "app" {
			c.say(w, answer{403, "not authorized"}) // the token is for one app
			return
		}
		if schema != "" {
			c.check(action, schema, body)
		}
		c.mu.Lock()
		c.requests[action]++
		first := c.refuse[action]
		if len(first) > 0 {
			c.refuse[action] = first[1:]
		}
		c.mu.Unlock()
		if len(first) > 0 {
			c.say(w, first[0])
			return
		}
		do(w, r, body)
	}
}

// check holds a body to the schema.
func (c *cloud) check(action, schema string, body []byte) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err == nil {
		err = c.schemas[schema].Validate(doc)
	}
	if err != nil {
		c.t.Errorf("%s with the body %s: %v", action, body, err)
	}
}

func (c *cloud) say(w http.ResponseWriter, a answer) {
	w.Header().Set("Retry-After", "0")
	w.WriteHeader(a.status)
	json.NewEncoder(w).Encode(map[string]string{"error": a.text})
}

// create boots a process with the environment, entrypoint and command of the body.
func (c *cloud) create(w http.ResponseWriter, _ *http.Request, body []byte) {
	if !c.creates.Allow() {
		c.t.Error("machines are created faster than the API allows")
		c.say(w, answer{429, "rate limit exceeded"})
		return
	}
	var ask struct {
		Name   string
		Config struct {
			Env  map[string]string
			Init struct{ Entrypoint, Cmd []string }
		}
	}
	m := &vm{State: "started", gone: make(chan struct{})}
	if json.Unmarshal(body, &ask) != nil || json.Unmarshal(body, m) != nil {
		c.say(w, answer{400, "invalid body"})
		return
	}
	line := append(ask.Config.Init.Entrypoint, ask.Config.Init.Cmd...)
	m.cmd = exec.Command(line[0], line[1:]...)
	m.cmd.Stdout, m.cmd.Stderr = c.t.Output(), c.t.Output()
	m.cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	for k, v := range ask.Config.Env {
		m.cmd.Env = append(m.cmd.Env, k+"="+v)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, other := range c.machines {
		if other.Name == m.Name && other.State != "destroyed" {
			c.say(w, answer{409, "name already in use"})
			return
		}
	}
	if err := m.cmd.Start(); err != nil {
		c.say(w, answer{422, err.Error()})
		return
	}
	m.ID = fmt.Sprintf("machine%d", m.cmd.Process.Pid)
	c.machines[m.ID] = m
	c.wg.Go(func() { c.follow(m) })
	if c.lose {
		c.lose = false
		panic(http.ErrAbortHandler)
	}
	json.NewEncoder(w).Encode(m)
}

// follow waits for the process and destroys the machine.
func (c *cloud) follow(m *vm) {
	_ = m.cmd.Wait() // its state says it
	exit := map[string]any{"guest_exit_code": m.cmd.ProcessState.ExitCode(), "guest_signal": -1}
	if s := m.cmd.ProcessState.Sys().(syscall.WaitStatus); s.Signaled() {
		exit["guest_signal"] = int(s.Signal())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	m.State = "destroyed"
	m.Events = []any{map[string]any{"type": "exit", "request": map[string]any{"exit_event": exit}}, map[string]any{"type": "launch"}}
	close(m.gone)
}

// find returns the machine that a request is about, or says that there is none.
func (c *cloud) find(w http.ResponseWriter, r *http.Request) *vm {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.machines[r.PathValue("id")]
	if m == nil {
		c.say(w, answer{404, "machine not found"})
	}
	return m
}

func (c *cloud) all() (all []*vm) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.machines {
		all = append(all, m)
	}
	return all
}

// asked is how many requests of a kind there were.
func (c *cloud) asked(action string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.requests[action]
}

// running is how many machines are there.
func (c *cloud) running() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.machines {
		if m.State != "destroyed" {
			n++
		}
	}
	return n
}

func (c *cloud) list(w http.ResponseWriter, _ *http.Request, _ []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := []*vm{}
	for _, m := range c.machines {
		if m.State != "destroyed" {
			all = append(all, m)
		}
	}
	json.NewEncoder(w).Encode(all)
}

func (c *cloud) get(w http.ResponseWriter, r *http.Request, _ []byte) {
	if m := c.find(w, r); m != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		json.NewEncoder(w).Encode(m)
	}
}

// wait answers sooner than it is asked to, so that a test sees that it is asked again.
func (c *cloud) wait(w http.ResponseWriter, r *http.Request, _ []byte) {
	m := c.find(w, r)
	if m == nil {
		return
	}
	if q := r.URL.Query(); q.Get("state") != "destroyed" || q.Get("timeout") != "60" {
		c.t.Errorf("wait with %v", q)
	}
	ctx, cancel := context.WithTimeout(r.Context(), 300*time.Millisecond)
	defer cancel()
	select {
	case <-m.gone:
		w.Write([]byte(`{"ok":true}`))
	case <-ctx.Done():
		c.say(w, answer{408, "deadline exceeded"})
	}
}

func (c *cloud) signal(w http.ResponseWriter, r *http.Request, body []byte) {
	if m := c.find(w, r); m != nil {
		if strings.Contains(string(body), "SIGTERM") {
			_ = m.cmd.Process.Signal(syscall.SIGTERM) // it may be gone
		}
		w.Write([]byte(`{"ok":true}`))
	}
}

func (c *cloud) destroy(w http.ResponseWriter, r *http.Request, _ []byte) {
	if m := c.find(w, r); m != nil {
		if r.URL.Query().Get("force") != "true" {
			c.say(w, answer{412, "machine is running"})
			return
		}
		c.end(m)
		w.Write([]byte(`{"ok":true}`))
	}
}

func (c *cloud) end(m *vm) {
	if m.cmd != nil {
		_ = m.cmd.Process.Kill() // it may be gone
	}
}

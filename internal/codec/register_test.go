package codec

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
)

type server struct {
	mu    sync.Mutex
	store *guarded
	stats struct{ hits int }
	name  string
}

type lazy struct {
	mu sync.Mutex
	n  int
}

type broken struct{ mu sync.Mutex }

// declare registers for the time of a test.
func declare(t *testing.T, name string, v any) {
	t.Helper()
	before := registry().list()
	if err := Register(name, v); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { registry().all.Store(&before) })
}

func TestN16_declaredMeansTheReceiversOwn(t *testing.T) {
	both(t, func(t *testing.T, trust Trust) {
		s := &server{name: "s", store: &guarded{name: "store"}}
		declare(t, "server", s)
		v := struct {
			s     *server
			hits  *int
			all   []*server
			boxed any
		}{s, &s.stats.hits, []*server{s, nil}, s}
		back := cross(t, v, trust)
		if back.s != s || back.hits != &s.stats.hits || back.all[0] != s || back.all[1] != nil || back.boxed != s {
			t.Errorf("got %+v", back)
		}
	})
}

func TestN16_closureAndMethodOfTheServer(t *testing.T) {
	s := &server{name: "mine"}
	declare(t, "server", s)
	if got := run(t, func(context.Context) (string, error) { return s.name, nil }); got != "mine" {
		t.Errorf("got %q", got)
	}
}

func TestN16_undeclaredFieldIsNamed(t *testing.T) {
	s := &server{store: &guarded{}}
	declare(t, "server", s)
	store := s.store
	_, err := Encode(&store, Options{})
	if err == nil || !strings.Contains(err.Error(), `it is server.store: capture server instead, or declare it: flame.PerProcess("store", store)`) {
		t.Errorf("got %v", err)
	}
}

func TestN16_madeAtFirstUse(t *testing.T) {
	runs := 0
	declare(t, "lazy", func() (*lazy, error) { runs++; return &lazy{n: 42}, nil })
	declare(t, "broken", func() (*broken, error) { return nil, errors.New("no disk") })
	mine := &lazy{n: 1}
	a, b := cross(t, mine, Trusted), cross(t, mine, Trusted)
	if a != b || a.n != 42 || runs != 1 {
		t.Errorf("got %d and %d after %d runs", a.n, b.n, runs)
	}
	v := &broken{}
	msg, err := Encode(&v, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := Decode(join(msg), &v, Trusted); err == nil || !strings.Contains(err.Error(), `make "broken": no disk`) {
		t.Errorf("got %v", err)
	}
}

func TestN16_nameThatIsMissingOrAnothers(t *testing.T) {
	s := &server{}
	before := registry().list()
	declare(t, "server", s)
	msg, err := Encode(&s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	registry().all.Store(&before)
	if err := Decode(join(msg), &s, Trusted); err == nil || !strings.Contains(err.Error(), `call flame.PerProcess("server", …) in main`) {
		t.Errorf("got %v", err)
	}
	declare(t, "server", &guarded{})
	if err := Decode(join(msg), &s, Untrusted); err == nil || !strings.Contains(err.Error(), "no 1 variables of type codec.server") {
		t.Errorf("got %v", err)
	}
}

func TestRegister_refusesMisuse(t *testing.T) {
	s := &server{}
	declare(t, "server", s)
	for name, v := range map[string]any{
		"":       &server{},
		"nil":    nil,
		"typed":  (*server)(nil),
		"value":  server{}.name,
		"func":   func() *server { return nil },
		"server": &server{},
		"inside": &s.stats,
	} {
		if err := Register(name, v); err == nil {
			t.Errorf("%q: no error", name)
		}
	}
	if got := Names(); len(got) != 1 || got[0] != (Name{"server", "*codec.server"}) {
		t.Errorf("got %v", got)
	}
}

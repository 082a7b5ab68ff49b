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

// ledger has what pointers and slices lead into.
type ledger struct {
	mu     sync.Mutex
	pages  [4]sheet
	totals [8]int64
	last   *sheet
}

type sheet struct {
	mu   sync.Mutex
	rows [3]string
}

func TestN16_SlicesAndPointersIntoItMeanTheReceiversOwn(t *testing.T) {
	both(t, func(t *testing.T, trust Trust) {
		l := &ledger{last: new(sheet)}
		declare(t, "ledger", l)
		v := struct {
			page   *sheet
			row    *string
			pages  []sheet
			rows   []string
			totals []int64
			same   *[8]int64
			none   []int64
		}{&l.pages[2], &l.pages[1].rows[1], l.pages[1:3], l.pages[3].rows[:1], l.totals[2:4:6], &l.totals, l.totals[:0]}
		back := cross(t, v, trust)
		if back.page != v.page || back.row != v.row || back.same != v.same || len(back.none) != 0 {
			t.Errorf("pointers: got %p, %p, %p", back.page, back.row, back.same)
		}
		if &back.pages[0] != &l.pages[1] || len(back.pages) != 2 || cap(back.pages) != 3 || &back.rows[0] != v.row && &back.rows[0] != &l.pages[3].rows[0] {
			t.Errorf("slices: got %p of %d", back.pages, len(back.pages))
		}
		if &back.totals[0] != &l.totals[2] || len(back.totals) != 2 || cap(back.totals) != 4 {
			t.Errorf("totals: %p, %d, %d", back.totals, len(back.totals), cap(back.totals))
		}
	})
}

func TestN16_itIsMadeAgainAfterAnErrorAndOnceForAll(t *testing.T) {
	runs, failure := 0, errors.New("no disk")
	declare(t, "lazy", func() (*lazy, error) {
		runs++
		if failure != nil {
			return nil, failure
		}
		return &lazy{n: runs}, nil
	})
	mine := &lazy{}
	msg, err := Encode(&mine, Options{})
	if err != nil {
		t.Fatal(err)
	}
	// when it cannot be made, then the error says so, each time
	for range 2 {
		var back *lazy
		if err := Decode(join(msg), &back, Trusted); !errors.Is(err, failure) || !strings.Contains(err.Error(), `make "lazy": no disk`) {
			t.Errorf("got %v", err)
		}
	}
	// when it can be made, then all that come at once get the same
	failure = nil
	var got [8]*lazy
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			if err := Decode(join(msg), &got[i], Trusted); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, l := range got {
		if l == nil || l != got[0] || runs != 3 {
			t.Fatalf("got %v after %d runs", got, runs)
		}
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

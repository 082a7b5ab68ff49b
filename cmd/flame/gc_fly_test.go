package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// machines is a Machines API with a parent that is stopped, one that runs, and a runner of each.
func machines(t *testing.T) (url string, destroyed func() []string) {
	t.Helper()
	var mu sync.Mutex
	var gone []string
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/apps/app/machines", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `[{"id":"1","name":"thumbs-1","state":"started","config":{"metadata":{"flame_home":"app/stopped"}}},
			{"id":"2","name":"thumbs-2","state":"started","config":{"metadata":{"flame_home":"app/started"}}},
			{"id":"3","name":"web","state":"started","config":{"metadata":{}}}]`)
	})
	mux.HandleFunc("GET /v1/apps/app/machines/{id}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"id":%q,"state":%[1]q,"config":{}}`, r.PathValue("id"))
	})
	mux.HandleFunc("DELETE /v1/apps/app/machines/{id}", func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		gone = append(gone, r.PathValue("id"))
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return gone
	}
}

func TestB11_GCDestroysMachinesOfAParentThatIsGone(t *testing.T) {
	t.Setenv("FLY_API_TOKEN", "FlyV1 hunter2")
	t.Setenv("FLY_APP_NAME", "")
	url, destroyed := machines(t)
	out, notes, code := ask(t, "gc", "fly", "-app", "app", "-url", url)
	if code != done || out != "thumbs-1\n" || notes != "1 machine whose parent is gone; nothing was removed: flame gc fly -yes does\n" || len(destroyed()) > 0 {
		t.Errorf("%d, %q, %q, destroyed %q", code, out, notes, destroyed())
	}
	out, notes, code = ask(t, "gc", "fly", "-app", "app", "-url", url, "-yes")
	if code != done || out != "thumbs-1\n" || notes != "removed 1 machine whose parent is gone\n" || fmt.Sprint(destroyed()) != "[1]" {
		t.Errorf("%d, %q, %q, destroyed %q", code, out, notes, destroyed())
	}
}

func TestB12_GCOfFlySaysWhatIsMissingAndNeverTheToken(t *testing.T) {
	t.Setenv("FLY_APP_NAME", "")
	t.Setenv("FLY_API_TOKEN", "")
	if _, notes, code := ask(t, "gc", "fly"); code != failed || !strings.Contains(notes, "FLY_API_TOKEN is not set: ") {
		t.Errorf("%d, %q", code, notes)
	}
	t.Setenv("FLY_API_TOKEN", "FlyV1 hunter2")
	if _, notes, code := ask(t, "gc", "fly"); code != failed || !strings.Contains(notes, "-app, or FLY_APP_NAME") {
		t.Errorf("%d, %q", code, notes)
	}
	url, _ := machines(t)
	_, notes, code := ask(t, "gc", "fly", "-app", "other", "-url", url)
	if code != failed || !strings.Contains(notes, "app other") || strings.Contains(notes, "hunter2") {
		t.Errorf("%d, %q", code, notes)
	}
}

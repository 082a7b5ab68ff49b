package app

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend/process"
)

// databaseVariable tells the runners where the database is, as a program's configuration does.
const databaseVariable = "APP_DATABASE"

// registered is the server of this process; other is one that was forgotten.
var registered, other *Server

// TestMain is the program's main.
func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	if _, runner := flame.Parent(); !runner {
		dir, err := os.MkdirTemp("", "app")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		os.Setenv(databaseVariable, filepath.Join(dir, "app.db"))
	}
	config := Config{Database: os.Getenv(databaseVariable), Rounds: 1000, Timeout: 30 * time.Second}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	var err, otherErr error
	registered, err = NewServer(config, log)
	other, otherErr = NewServer(config, log)
	if err := errors.Join(err, otherErr); err != nil {
		panic(err)
	}
	flame.PerProcess("server", registered)
	flame.ServeIfRunner()
	code := m.Run()
	os.RemoveAll(filepath.Dir(config.Database))
	os.Exit(code)
}

const items = 20

func start(t *testing.T, s *Server) *httptest.Server {
	t.Helper()
	pool, err := flame.Open(t.Context(), flame.Config{
		Name: "app", Min: 1, Max: 2, MaxConcurrency: 8,
		Backend: process.New(process.Options{Output: t.Output()}), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.pool = pool
	web := httptest.NewServer(s.Handler())
	t.Cleanup(func() {
		web.Close()
		pool.Close()
	})
	return web
}

func get(url string) (status int, body string, err error) {
	r, err := http.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	return r.StatusCode, string(text), err
}

func TestN16_HandlersOffloadWithNothingButPerProcess(t *testing.T) {
	if err := registered.Migrate(t.Context(), items); err != nil {
		t.Fatal(err)
	}
	web := start(t, registered)
	const clients, each = 16, 50
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for i := range each {
				item := (c + i) % items
				name := fmt.Sprintf("item <%d>", item)
				want := "<h1>" + html.EscapeString(name) + "</h1><p>" + digest(name, 1000) + "</p>"
				status, body, err := get(fmt.Sprint(web.URL, "/report/", item))
				if err != nil || status != http.StatusOK || body != want {
					t.Errorf("item %d: %d %q, %v", item, status, body, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if registered.hits != clients*each || len(registered.cache) != 0 {
		t.Errorf("%d hits on the parent, %d reports in its cache: the work was to be done on runners", registered.hits, len(registered.cache))
	}
	if status, _, _ := get(web.URL + "/report/9999"); status != http.StatusNotFound {
		t.Errorf("an item that is not there: status %d, so sql.ErrNoRows was not recognized", status)
	}
}

func TestN16_ForgottenServerIsAlwaysTheSameRefusal(t *testing.T) {
	start(t, other)
	stop := make(chan struct{})
	var writers, callers sync.WaitGroup
	for w := range 4 { // the map is written all the time: reading it without its lock would crash
		writers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					other.mu.Lock()
					other.cache[w*1000+i%1000] = report{Item: i}
					other.mu.Unlock()
				}
			}
		})
	}
	texts := make(chan string, 400)
	for range 4 {
		callers.Go(func() {
			for range 100 {
				_, err := offload(t.Context(), other)
				var send *flame.SendError
				if !errors.As(err, &send) || flame.Ran(err) {
					t.Error(err)
					return
				}
				texts <- err.Error()
			}
		})
	}
	callers.Wait()
	close(stop)
	writers.Wait()
	close(texts)
	first := <-texts
	for text := range texts {
		if text != first {
			t.Fatalf("once it says\n%s\nand once\n%s", first, text)
		}
	}
	if !strings.Contains(first, "PerProcess") || !strings.Contains(first, "*app.Server") {
		t.Errorf("it says %q", first)
	}
}

// offload captures a server.
func offload(ctx context.Context, s *Server) (report, error) {
	return flame.Call(ctx, s.pool, func(ctx context.Context) (report, error) { return s.make(ctx, 1, "", 1) })
}

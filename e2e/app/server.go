// Package app is a web program as they are: a server with everything injected, whose handlers have runners do the work.
// Nothing in it is there for flame but one PerProcess and one ServeIfRunner in its main.
package app

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver

	"github.com/fleetinglambda/flame"
)

// Config is what the program is told.
type Config struct {
	Database string
	Rounds   int
	Timeout  time.Duration
}

// Server is the program: its handlers and all they need.
type Server struct {
	config Config
	db     *sql.DB
	log    *slog.Logger
	page   *template.Template
	pool   *flame.Pool // the parent's only

	mu    sync.Mutex // guards what follows
	cache map[int]report
	hits  int
}

// report is what a runner makes.
type report struct {
	Item   int
	Name   string
	Digest string
	Made   time.Time
}

// NewServer injects. Every process of the program calls it, runners too.
func NewServer(c Config, log *slog.Logger) (*Server, error) {
	db, err := sql.Open("sqlite", c.Database)
	if err != nil {
		return nil, err
	}
	page, err := template.New("report").Parse("<h1>{{.Name}}</h1><p>{{.Digest}}</p>")
	if err != nil {
		return nil, err
	}
	return &Server{config: c, db: db, log: log, page: page, cache: make(map[int]report)}, nil
}

// Migrate makes the table and n items. Only the parent calls it.
func (s *Server) Migrate(ctx context.Context, n int) error {
	if _, err := s.db.ExecContext(ctx, "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT NOT NULL)"); err != nil {
		return err
	}
	for i := range n {
		if _, err := s.db.ExecContext(ctx, "INSERT INTO items VALUES (?, ?)", i, fmt.Sprintf("item <%d>", i)); err != nil {
			return err
		}
	}
	return nil
}

// Handler serves reports.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /report/{item}", s.report)
	return mux
}

// report answers from the cache, or has a runner make the report.
func (s *Server) report(w http.ResponseWriter, r *http.Request) {
	item, err := strconv.Atoi(r.PathValue("item"))
	if err != nil {
		http.Error(w, "no such item", http.StatusNotFound)
		return
	}
	salt, rounds := r.URL.Query().Get("salt"), s.config.Rounds
	page, err := flame.Call(r.Context(), s.pool, func(ctx context.Context) ([]byte, error) {
		// On the runner s is the runner's own, with its own database handle, cache and logger.
		made, err := s.make(ctx, item, salt, rounds)
		if err != nil {
			return nil, err
		}
		s.log.Debug("made a report", "item", item)
		var page bytes.Buffer
		err = s.page.Execute(&page, made)
		return page.Bytes(), err
	}, flame.Timeout(s.config.Timeout))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		http.Error(w, "no such item", http.StatusNotFound)
	case err != nil:
		s.log.Error("report", "error", err)
		http.Error(w, "later, please", http.StatusServiceUnavailable)
	default:
		s.count()
		w.Write(page)
	}
}

func (s *Server) count() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hits++
}

// make makes a report, unless this process has made it already.
func (s *Server) make(ctx context.Context, item int, salt string, rounds int) (report, error) {
	s.mu.Lock()
	made, ok := s.cache[item]
	s.mu.Unlock()
	if ok {
		return made, nil
	}
	made = report{Item: item, Made: time.Now()}
	if err := s.db.QueryRowContext(ctx, "SELECT name FROM items WHERE id = ?", item).Scan(&made.Name); err != nil {
		return made, fmt.Errorf("item %d: %w", item, err)
	}
	made.Digest = digest(made.Name+salt, rounds)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cache[item] = made
	return made, nil
}

func digest(text string, rounds int) string {
	sum := sha256.Sum256([]byte(text))
	for range rounds {
		sum = sha256.Sum256(sum[:])
	}
	return fmt.Sprintf("%x", sum)
}

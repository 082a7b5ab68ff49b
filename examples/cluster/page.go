package main

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"os"

	"github.com/fleetinglambda/flame"
)

//go:embed page.html
var page []byte

// handler serves the page, what the pool has, and checksums.
func handler(pool *flame.Pool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(page)
	})
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, overview(pool.Stats()))
	})
	mux.HandleFunc("PUT /files", func(w http.ResponseWriter, r *http.Request) {
		sum, err := hash(r, pool)
		if err != nil {
			w.Header().Set("Connection", "close") // the rest of the upload is of no use
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		answer(w, sum)
	})
	return mux
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

// checksum is that of an upload, and which runner has made it.
type checksum struct {
	SHA256 string
	Bytes  int64
	Host   string
}

// hash has a runner hash an upload while it is read. Its bytes pass through here and are kept nowhere.
func hash(r *http.Request, pool *flame.Pool) (checksum, error) {
	return flame.Call(r.Context(), pool, func(context.Context) (checksum, error) {
		// This runs on a runner, and reads the upload from the web server.
		h := sha256.New()
		n, err := io.Copy(h, r.Body)
		if err != nil {
			return checksum{}, err
		}
		host, err := os.Hostname()
		return checksum{SHA256: hex.EncodeToString(h.Sum(nil)), Bytes: n, Host: host}, err
	}, flame.Timeout(-1)) // it takes as long as the upload
}

// stats is what the page shows of the pool.
type stats struct {
	Max, Running, Waiting int
	LastBoot              string `json:",omitempty"` // why the last boot that failed did
	Runners               []runner
}

// runner is one of them.
type runner struct {
	ID, Stage       string
	Running, Served int
}

func overview(s flame.Stats) stats {
	o := stats{Max: s.Max, Running: s.Running, Waiting: s.Waiting, Runners: []runner{}}
	if s.LastBoot != nil && s.FailedBoots > 0 {
		o.LastBoot = s.LastBoot.Error()
	}
	for _, r := range s.Runners {
		o.Runners = append(o.Runners, runner{r.ID, r.Stage, r.Running, r.Served})
	}
	return o
}

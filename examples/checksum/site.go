package main

import (
	"context"
	"database/sql"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/fleetinglambda/flame"
)

//go:embed page.html
var page []byte

// site is the web page on which files are hashed, and what it needs.
type site struct {
	pool    *flame.Pool
	client  *s3.Client
	records *sql.DB
	audience
}

func (s *site) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(page)
	})
	mux.HandleFunc("GET /progress/{page}", s.listen)
	mux.HandleFunc("GET /checksums", s.list)
	mux.HandleFunc("PUT /files", s.upload)
	mux.HandleFunc("PUT /objects", s.object)
	return mux
}

// upload hashes a file on a runner while it is uploaded.
func (s *site) upload(w http.ResponseWriter, r *http.Request) {
	s.hash(w, r, func(news chan<- soFar) (checksum, error) {
		return flame.Call(r.Context(), s.pool, func(ctx context.Context) (checksum, error) {
			// This runs on a runner, which reads the upload here and says here how far it is.
			c, err := hashStream(ctx, r.Body, news)
			if err != nil {
				err = fmt.Errorf("the upload broke off: %w", err)
			}
			return c, err
		}, flame.Timeout(-1)) // it takes as long as the upload
	})
}

// object hashes an object in S3 on a runner, which reads it by itself.
func (s *site) object(w http.ResponseWriter, r *http.Request) {
	client, name := s.client, r.URL.Query().Get("name")
	s.hash(w, r, func(news chan<- soFar) (checksum, error) {
		if !isObject(name) {
			return checksum{}, errors.New("it names no object: write s3://bucket/key")
		}
		if err := ready(r.Context(), client); err != nil {
			return checksum{}, err
		}
		return flame.Call(r.Context(), s.pool, func(ctx context.Context) (checksum, error) {
			content, err := openObject(ctx, client, name)
			if err != nil {
				return checksum{}, err
			}
			defer content.Close()
			return hashStream(ctx, content, news)
		}, flame.Timeout(-1))
	})
}

// hash has something hashed, tells the page how far it is, and answers with its checksum, which is recorded.
func (s *site) hash(w http.ResponseWriter, r *http.Request, onRunner func(chan<- soFar) (checksum, error)) {
	about := r.URL.Query()
	tell := func(n soFar, problem string) {
		s.tell(about.Get("page"), happening{File: about.Get("file"), Problem: problem, soFar: n})
	}
	news := make(chan soFar)
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := range news {
			tell(n, "")
		}
	})
	c, err := onRunner(news)
	close(news)
	wg.Wait()
	if err == nil {
		c.Name, c.At = about.Get("name"), time.Now().UTC().Round(time.Millisecond)
		err = record(r.Context(), s.pool, s.records, c)
	}
	if err != nil {
		tell(soFar{}, forVisitor(err))
		w.Header().Set("Connection", "close") // the rest of the upload is of no use
		http.Error(w, forVisitor(err), http.StatusUnprocessableEntity)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(c)
}

// list answers with the checksums that are recorded.
func (s *site) list(w http.ResponseWriter, r *http.Request) {
	all, err := recorded(r.Context(), s.records)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(all)
}

// forVisitor is an error for the one who wants to have something hashed.
func forVisitor(err error) string {
	var lost *flame.RunnerLostError
	switch {
	case errors.As(err, &lost):
		return fmt.Sprintf("the process that hashed it is gone (%v): try again", lost.Unwrap())
	case errors.Is(err, context.Canceled):
		return "the upload broke off"
	}
	return err.Error()
}

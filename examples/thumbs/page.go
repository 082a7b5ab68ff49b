package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/fleetinglambda/flame"
)

//go:embed page.html
var page []byte

// studio serves the page and makes the thumbnails that it shows.
type studio struct {
	pool    *flame.Pool
	every   time.Duration
	viewers sync.Map // *viewer of each name that a page has made up for a video, until that is uploaded
}

// viewer is a page that waits for the thumbnails of one video.
type viewer struct {
	ctx    context.Context // ends when nobody looks any more
	thumbs chan thumb      // closed by upload
	err    error           // why there are no more thumbs; set before that
}

func newStudio(pool *flame.Pool, every time.Duration) *studio {
	return &studio{pool: pool, every: every}
}

func (s *studio) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(page)
	})
	mux.HandleFunc("GET /thumbs/{video}", s.watch)
	mux.HandleFunc("PUT /videos/{video}", s.upload)
	return mux
}

// upload has a runner make thumbnails of a video while it is uploaded.
func (s *studio) upload(w http.ResponseWriter, r *http.Request) {
	found, ok := s.viewers.LoadAndDelete(r.PathValue("video"))
	if !ok {
		http.Error(w, "nobody waits for the thumbnails: GET /thumbs/"+r.PathValue("video")+" first", http.StatusConflict)
		return
	}
	v := found.(*viewer)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(v.ctx, cancel)()

	every, thumbs := s.every, chan<- thumb(v.thumbs)
	v.err = flame.Run(ctx, s.pool, func(ctx context.Context) error {
		// This runs on a runner. The upload is read from here, and the thumbnails go to the page from here.
		return generate(ctx, r.Body, every, thumbs)
	}, flame.Timeout(-1)) // it takes as long as the upload
	close(v.thumbs)
	if v.err != nil {
		w.Header().Set("Connection", "close") // the rest of the upload is of no use
		http.Error(w, explain(v.err), http.StatusUnprocessableEntity)
	}
}

// watch sends the thumbnails of a video to a page as they come, each as an event.
func (s *studio) watch(w http.ResponseWriter, r *http.Request) {
	v := &viewer{ctx: r.Context(), thumbs: make(chan thumb)}
	if _, taken := s.viewers.LoadOrStore(r.PathValue("video"), v); taken {
		http.Error(w, "another page waits for this video", http.StatusConflict)
		return
	}
	defer s.viewers.CompareAndDelete(r.PathValue("video"), v)
	w.Header().Set("Content-Type", "text/event-stream")
	tell(w, "ready", nil)
	for {
		select {
		case t, more := <-v.thumbs:
			if !more {
				tell(w, "end", explain(v.err))
				return
			}
			tell(w, "thumb", t)
		case <-v.ctx.Done():
			return
		}
	}
}

// tell sends one event to a page.
func tell(w http.ResponseWriter, event string, data any) {
	text, err := json.Marshal(data)
	if err != nil {
		panic(err) // it is all plain data
	}
	fmt.Fprintf(w, "event: %s\ndata: %s\n\n", event, text)
	http.NewResponseController(w).Flush() //nolint:errcheck // the page may have gone
}

// explain is an error for the one who has uploaded something, "" if there is none.
func explain(err error) string {
	var lost *flame.RunnerLostError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &lost):
		return fmt.Sprintf("the process that worked on it is gone (%v): upload it again", lost.Unwrap())
	case errors.Is(err, context.Canceled):
		return "the upload broke off"
	}
	return err.Error()
}

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
)

// happening is what a page is told while one of its files is hashed.
type happening struct {
	File    string `json:"file"` // as the page numbers them
	Problem string `json:"problem,omitempty"`
	soFar
}

// audience is the pages that are told what happens.
type audience struct {
	mu    sync.Mutex // guards what follows
	pages map[string]chan happening
}

// tell tells a page, if it listens and is not too slow.
func (a *audience) tell(page string, h happening) {
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case a.pages[page] <- h:
	default:
	}
}

// join adds a page, until leave is called. It is false if another has that name.
func (a *audience) join(page string) (told <-chan happening, leave func(), ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.pages[page] != nil {
		return nil, nil, false
	}
	if a.pages == nil {
		a.pages = make(map[string]chan happening)
	}
	c := make(chan happening, 100)
	a.pages[page] = c
	return c, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.pages, page)
	}, true
}

// listen sends a page what it is told, as events.
func (a *audience) listen(w http.ResponseWriter, r *http.Request) {
	told, leave, ok := a.join(r.PathValue("page"))
	if !ok {
		http.Error(w, "another page has that name", http.StatusConflict)
		return
	}
	defer leave()
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	fmt.Fprint(w, ": listening\n\n")
	for out.Flush() == nil {
		select {
		case h := <-told:
			fmt.Fprint(w, "data: ")
			json.NewEncoder(w).Encode(h)
			fmt.Fprint(w, "\n")
		case <-r.Context().Done():
			return
		}
	}
}

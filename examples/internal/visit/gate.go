package visit

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// Gate stands before a server and holds uploads back.
type Gate struct {
	handler http.Handler
	bytes   int64
	open    chan struct{} // closed by Open
	once    sync.Once
}

// Hold lets so many bytes of each upload through to a server, and the rest when the Gate is opened, or the test is over.
func Hold(t *testing.T, server *httptest.Server, bytes int64) *Gate {
	g := &Gate{handler: server.Config.Handler, bytes: bytes, open: make(chan struct{})}
	server.Config.Handler = g
	t.Cleanup(g.Open)
	return g
}

// Open lets everything through.
func (g *Gate) Open() { g.once.Do(func() { close(g.open) }) }

// ServeHTTP answers as the server would.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPut {
		body := r.Body
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(io.LimitReader(body, g.bytes), &held{g.open, body}), body}
	}
	g.handler.ServeHTTP(w, r)
}

// held is the rest of an upload.
type held struct {
	open <-chan struct{}
	io.Reader
}

func (h *held) Read(b []byte) (int, error) {
	<-h.open
	return h.Reader.Read(b)
}

//go:build linux

package flame_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/fleetinglambda/flame"
)

// got fetches an address on a runner.
func got(ctx context.Context, p *flame.Pool, url string) (*http.Response, error) {
	return flame.Call(ctx, p, func(ctx context.Context) (*http.Response, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return nil, err
		}
		return http.DefaultClient.Do(request)
	})
}

// serving is a server with something large at /large, nothing at /none, and what never ends at /never.
func serving(t *testing.T) (url string, large []byte) {
	t.Helper()
	large = pattern(3 << 20)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Name", r.URL.Path)
		switch r.URL.Path {
		case "/large":
			w.Header().Set("Content-Length", fmt.Sprint(len(large)))
			w.Write(large)
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		default:
			w.Write(large[:1000])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}
	}))
	t.Cleanup(s.Close)
	return s.URL, large
}

func TestF13_AnAnswerOfAServerIsReadHere(t *testing.T) {
	isolations(t, func(t *testing.T, c flame.Config) {
		p, _ := open(t, c)
		tidy(t, p)
		url, large := serving(t)
		r, err := got(t.Context(), p, url+"/large")
		if err != nil {
			t.Fatal(err)
		}
		if r.StatusCode != http.StatusOK || r.Header.Get("X-Name") != "/large" || r.ContentLength != int64(len(large)) || p.Stats().Held != 1 {
			t.Errorf("%s, %v, %+v", r.Status, r.Header, p.Stats())
		}
		if b, err := io.ReadAll(r.Body); err != nil || !bytes.Equal(b, large) {
			t.Errorf("%d bytes, %v", len(b), err)
		}
		if err := r.Body.Close(); err != nil {
			t.Error(err)
		}
		free(t, p)
		r, err = got(t.Context(), p, url+"/none")
		if err != nil || r.StatusCode != http.StatusNoContent {
			t.Fatal(r, err)
		}
		if b, err := io.ReadAll(r.Body); err != nil || len(b) > 0 {
			t.Errorf("%d bytes, %v", len(b), err)
		}
		free(t, p) // there is nothing to be closed
	})
}

func TestN17_AnAnswerOfAServerIsReadOnTheRunner(t *testing.T) {
	p, _ := open(t, flame.Config{})
	url, large := serving(t)
	r, err := http.Get(url + "/large")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	want, _ := sum(bytes.NewReader(large))
	s, err := flame.Call(t.Context(), p, func(context.Context) (string, error) {
		s, err := sum(r.Body)
		return r.Header.Get("X-Name") + " " + s, err
	})
	if s != "/large "+want || err != nil || r.Request == nil {
		t.Errorf("%q, %v, %v", s, err, r.Request)
	}
}

func TestF13_AnAnswerThatNeverEndsIsLetGo(t *testing.T) {
	p, _ := open(t, flame.Config{})
	url, _ := serving(t)
	for _, closes := range []bool{true, false} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r, err := got(ctx, p, url+"/never")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r.Body, make([]byte, 1000)); err != nil {
			t.Error(err)
		}
		if closes {
			r.Body.Close()
		} else {
			cancel()
			if _, err := r.Body.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		free(t, p)
	}
}

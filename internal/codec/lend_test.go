package codec

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

// shelf lends things by their number and gives the very things back, so that a test sees what goes where.
type shelf struct {
	things []any
	as     []reflect.Type
}

func (s *shelf) Lend(v any, as reflect.Type) ([]byte, error) {
	s.things, s.as = append(s.things, v), append(s.as, as)
	return []byte{byte(len(s.things) - 1)}, nil
}

func (s *shelf) Borrow(ref []byte, as reflect.Type) (any, error) {
	if len(ref) != 1 || s.as[ref[0]] != as {
		return nil, fmt.Errorf("%v is lent, not %v", s.as, as)
	}
	return s.things[ref[0]], nil
}

func lendAndBorrow[T any](t *testing.T, v T) (got T, s *shelf) {
	t.Helper()
	s = new(shelf)
	msg, err := Encode(&v, Options{Lender: s})
	if err != nil {
		t.Fatal(err)
	}
	if err := Receive(bytes.Join(msg, nil), &got, s); err != nil {
		t.Fatal(err)
	}
	return got, s
}

func TestN17_WhatIsLentIsDecidedByTheVariablesType(t *testing.T) {
	type job struct {
		ctx     context.Context
		log     *slog.Logger
		old     *log.Logger
		body    io.ReadCloser
		readers []io.Reader
		byName  map[string]io.Reader
		boxed   any
		none    context.Context
		nobody  io.ReadCloser
		discard interface{ Read([]byte) (int, error) }
	}
	text := strings.NewReader("text")
	sent := job{
		ctx: context.WithoutCancel(t.Context()), log: slog.Default(), old: log.Default(), body: io.NopCloser(text),
		readers: []io.Reader{text, nil, text}, byName: map[string]io.Reader{"a": text}, boxed: slog.Default(), nobody: http.NoBody,
	}
	got, s := lendAndBorrow(t, sent)
	if !reflect.DeepEqual(got, sent) || got.log != sent.log || got.readers[0] != text {
		t.Errorf("got %+v", got)
	}
	if len(s.things) != 8 {
		t.Errorf("lent %v", s.as)
	}
}

func TestWhatIsLentIsRefusedInResults(t *testing.T) {
	request, _ := http.NewRequestWithContext(t.Context(), "GET", "http://localhost/", nil)
	for _, c := range []struct {
		value     any
		path, way string
	}{
		{ptr(io.Reader(strings.NewReader("x"))), "io.Reader", "hold it as an io.ReadCloser"},
		{ptr(struct{ out io.Writer }{new(bytes.Buffer)}), ".out (io.Writer)", "hold it as an io.ReadCloser"},
		{ptr(t.Context()), "context.Context", "leave it out"},
		{ptr(slog.Default()), "*slog.Logger", "leave it out"},
		{ptr(log.Default()), "*log.Logger", "leave it out"},
		{ptr(request), "*http.Request → .ctx (context.Context)", "leave it out"},
	} {
		_, err := Encode(c.value, Options{Result: true, Lender: new(shelf)})
		for _, err := range []error{err, CheckType(reflect.TypeOf(c.value).Elem())} {
			var refused *SendError
			if !errors.As(err, &refused) || !strings.Contains(refused.Path, c.path) || !strings.Contains(refused.Reason, c.way) {
				t.Errorf("%s: %v", c.path, err)
			}
		}
		if err := Check(c.value); err != nil {
			t.Errorf("%s may be captured: %v", c.path, err)
		}
	}
}

func TestF13_WhatCanBeClosedComesBack(t *testing.T) {
	type answer struct {
		name  string
		body  io.ReadCloser
		files map[string]*interface {
			io.ReaderAt
			io.Closer
		}
	}
	body := io.NopCloser(strings.NewReader("x"))
	s, sent := new(shelf), answer{name: "n", body: body}
	if err := CheckType(reflect.TypeOf(sent)); err != nil || !Lends(reflect.TypeOf(sent)) || !Lends(reflect.TypeFor[[]*io.ReadCloser]()) {
		t.Error(err)
	}
	msg, err := Encode(&sent, Options{Result: true, Lender: s})
	if err != nil {
		t.Fatal(err)
	}
	var got answer
	if err := Take(bytes.Join(msg, nil), &got, s); err != nil || got.body != body || got.name != "n" {
		t.Errorf("%+v, %v", got, err)
	}
	for _, none := range []reflect.Type{reflect.TypeFor[string](), reflect.TypeFor[any](), reflect.TypeFor[map[int]*mapEntry]()} {
		if Lends(none) {
			t.Errorf("a %v lends something", none)
		}
	}
	if _, err := Encode(&sent, Options{}); err == nil || !strings.Contains(err.Error(), "return it as a result") {
		t.Error(err)
	}
}

func TestN17_ARequestCrossesWithoutItsConnection(t *testing.T) {
	body := io.NopCloser(strings.NewReader("body"))
	r, err := http.NewRequestWithContext(t.Context(), "POST", "http://user@host/path?a=1", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Name", "ü")
	r.Form = url.Values{"a": {"1"}}
	r.TLS, r.Response = &tls.ConnectionState{ServerName: "host"}, &http.Response{}
	r.SetPathValue("id", "7")
	got, s := lendAndBorrow(t, r)
	if got.Method != "POST" || got.URL.String() != r.URL.String() || got.Header.Get("X-Name") != "ü" || got.Form.Get("a") != "1" || got.PathValue("id") != "7" {
		t.Errorf("got %+v", got)
	}
	if got.TLS != nil || got.Response != nil || got.GetBody != nil {
		t.Errorf("what belongs to the connection came along: %+v", got)
	}
	if got.Body != r.Body || got.Context() != r.Context() || len(s.things) != 2 {
		t.Errorf("lent %v", s.as)
	}
}

func TestHostileBytesBorrowNothing(t *testing.T) {
	v := io.Reader(strings.NewReader("x"))
	msg, err := Encode(&v, Options{Lender: new(shelf)})
	if err != nil {
		t.Fatal(err)
	}
	var got io.Reader
	if err := Decode(bytes.Join(msg, nil), &got, Untrusted); err == nil || !strings.Contains(err.Error(), "lent where nothing can be") {
		t.Errorf("got %v, %v", got, err)
	}
	wrong := &shelf{things: []any{7}, as: []reflect.Type{reflect.TypeFor[io.Reader]()}}
	if err := Receive(bytes.Join(msg, nil), &got, wrong); err == nil || got != nil {
		t.Errorf("an int stands in for a reader: %v, %v", got, err)
	}
	v = nil
	if none, _ := lendAndBorrow(t, v); none != nil {
		t.Errorf("got %v", none)
	}
}

package cross

import (
	"bytes"
	"container/list"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/big"
	"mime/multipart"
	"net/http"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"time"
)

type point struct {
	X, y int
	at   *point
}

func (p point) sum() int { return p.X + p.y }

func (p *point) move(by int) { p.X += by }

type shape interface{ sum() int }

type ring struct {
	next *ring
	n    int
}

// Colour is known by its address.
type Colour struct{ name string }

// Red is one.
var Red = &Colour{"red"}

// ErrOwn is an error of the program.
var ErrOwn = errors.New("own")

type failure struct{ code int }

func (f *failure) Error() string { return fmt.Sprint("failure ", f.code) }

// counter has a lock, and says itself how it crosses.
type counter struct {
	mu sync.Mutex
	n  byte
}

func (c *counter) MarshalBinary() ([]byte, error) { return []byte{c.n}, nil }

func (c *counter) UnmarshalBinary(b []byte) error {
	c.n = b[0]
	return nil
}

func (r *rows) plain() {
	b, n, u, f, c, s, x := true, 42, uint8(7), 2.5, complex(1, 2), "text", uintptr(9)
	var none *int
	changed := 1
	// crosses
	r.add(func() any { return nil })
	// crosses
	r.add(func() any { return b })
	// crosses
	r.add(func() any { return n })
	// crosses
	r.add(func() any { return []any{u, f, c} })
	// crosses
	r.add(func() any { return s })
	// crosses
	r.add(func() any { return x })
	// crosses
	r.add(func() any { return none })
	// crosses
	r.add(func() any { return changed })
	// crosses
	r.add(func() any { changed++; return changed })
}

func (r *rows) composite() {
	list3, array, table := []int{1, 2, 3}, [40]string{"a"}, map[string][]point{"a": {{1, 2, nil}}}
	p := &point{1, 2, nil}
	p.at = p
	var i shape = point{3, 4, nil}
	var anything any = []any{1, "two", nil, point{}}
	loop := &ring{n: 1}
	loop.next = loop
	left, right := list3[:2], list3[1:]
	pp, field := &p, &p.y
	anonymous := struct {
		a int
		b []string
	}{1, []string{"x"}}
	keyed := map[point]bool{{1, 2, nil}: true}
	var empty map[string]int
	// crosses
	r.add(func() any { return list3 })
	// crosses
	r.add(func() any { return array })
	// crosses
	r.add(func() any { return table })
	// crosses
	r.add(func() any { return p.sum() })
	// crosses
	r.add(func() any { return i.sum() })
	// crosses
	r.add(func() any { return anything })
	// crosses
	r.add(func() any { return loop.next == loop })
	// crosses
	r.add(func() any { left[1] = 9; return right[0] })
	// crosses
	r.add(func() any { return (*pp).X + *field })
	// crosses
	r.add(func() any { return anonymous })
	// crosses
	r.add(func() any { return keyed })
	// crosses
	r.add(func() any { return empty == nil })
}

func (r *rows) packages() {
	when, zone, took := time.Now(), time.FixedZone("Z", 3600), time.Second
	number, ratio := big.NewInt(7), big.NewRat(1, 3)
	u, query, header := &url.URL{Host: "h"}, url.Values{"q": {"1"}}, http.Header{"A": {"b"}}
	re, words := regexp.MustCompile("a+"), list.New()
	words.PushBack("w")
	buffer, builder := bytes.NewBufferString("b"), new(strings.Builder)
	builder.WriteString("s")
	raw, typ := json.RawMessage("{}"), reflect.TypeFor[point]()
	addr, prefix := netip.MustParseAddr("::1"), netip.MustParsePrefix("10.0.0.0/8")
	wrapped := fmt.Errorf("wrapped: %w", errors.Join(io.EOF, ErrOwn, &failure{3}))
	var m sync.Map
	m.Store("k", 1)
	own := &counter{n: 3}
	var _ = fmt.Sprint(any(own) != nil) // the linker leaves out the methods of what is in no interface
	// crosses
	r.add(func() any { return when })
	// crosses
	r.add(func() any { return zone })
	// crosses
	r.add(func() any { return took })
	// crosses
	r.add(func() any { return time.UTC })
	// crosses
	r.add(func() any { return []any{number, ratio} })
	// crosses
	r.add(func() any { return []any{u, query, header} })
	// crosses
	r.add(func() any { return re.String() })
	// crosses
	r.add(func() any { return words.Len() })
	// crosses
	r.add(func() any { return buffer.String() })
	// crosses
	r.add(func() any { return builder.String() })
	// crosses
	r.add(func() any { return []any{raw, typ} })
	// crosses
	r.add(func() any { return addr })
	// crosses
	r.add(func() any { return prefix })
	// crosses
	r.add(func() any { return errors.Is(wrapped, ErrOwn) })
	// crosses
	r.add(func() any { _, ok := m.Load("k"); return ok })
	// crosses
	r.add(func() any { return own.n })
	// crosses
	r.add(func() any { return Red })
}

func (r *rows) lent() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	logger, old := slog.Default(), log.Default()
	in := struct{ io.Reader }{strings.NewReader("r")}
	body := struct{ io.ReadCloser }{io.NopCloser(in)}
	request, _ := http.NewRequest(http.MethodPost, "http://localhost/", in)
	readers := map[string]io.Reader{"r": in}
	out := struct{ io.Writer }{new(bytes.Buffer)}
	file := struct{ multipart.File }{}
	var results chan<- error = make(chan error, 1)
	var stop <-chan struct{} = make(chan struct{})
	both := struct{ io.ReadWriteSeeker }{}
	own := struct {
		target interface {
			io.WriterAt
			Close() error
		}
	}{}
	// crosses
	r.add(func() any { return ctx.Err() })
	// crosses
	r.add(func() any { logger.Info("here"); return nil })
	// crosses
	r.add(func() any { old.Print("here"); return nil })
	// crosses
	r.add(func() any { n, _ := io.Copy(io.Discard, in); return n })
	// crosses
	r.add(func() any { results <- nil; return nil })
	// crosses
	r.add(func() any { return cap(stop) })
	// crosses
	r.add(func() any { return body.Close() })
	// crosses
	r.add(func() any { return request.Method })
	// crosses
	r.add(func() any { return len(readers) })
	// crosses
	r.add(func() any { n, _ := io.WriteString(out, "w"); return n })
	// crosses
	r.add(func() any { return file.File == nil })
	// crosses
	r.add(func() any { return both.ReadWriteSeeker == nil })
	// crosses
	r.add(func() any { return own })
}

func hold[T any](v T) func() any { return func() any { return v } }

//go:noinline
func holdOut[T any](v T) func() any { return func() any { return v } }

func (r *rows) functions() {
	n := 1
	inner := func() int { return n }
	p := &point{1, 2, nil}
	sum, move := p.sum, p.move
	static := strings.ToUpper
	expression := point.sum
	handlers := map[string]func() int{"a": inner}
	// crosses
	r.add(func() any { return inner() })
	// crosses
	r.add(func() any { return sum() })
	// crosses
	r.add(func() any { move(1); return nil })
	// crosses
	r.add(func() any { return static("a") + fmt.Sprint(expression(point{})) })
	// crosses
	r.add(func() any { return handlers["a"]() })
	// crosses
	r.add(hold([]point{{1, 2, nil}}))
	// crosses
	r.add(holdOut(map[string]*point{"p": p}))
	// crosses
	r.add(holdOut(time.Now()))
}

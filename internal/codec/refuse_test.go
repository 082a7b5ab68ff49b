package codec

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unique"
	"unsafe"
	"weak"
)

type guarded struct {
	name string
	deep struct {
		mu sync.RWMutex
	}
}

type owner struct {
	label string
	items []*guarded
	table map[string]*guarded
}

type _Ctype_handle uintptr

func TestRefused_withPathAndWayOut(t *testing.T) {
	file, n := os.Stdout, 0
	for _, c := range []struct {
		value     any // a pointer to what is sent
		path, way string
	}{
		{new(chan int), "chan int", "var progress chan<- int = ch"},
		{&struct{ both chan<- chan int }{make(chan chan int)}, ".both (chan<- chan int) → an element → chan int", "var progress chan<- int = ch"},
		{new([1]io.WriterTo), "[0] (io.WriterTo)", "hold it as an io.Reader"},
		{&file, "*os.File", "open it inside the function"},
		{new(net.Conn), "net.Conn", "dial inside the function"},
		{ptr(any(&net.TCPConn{})), "net.conn", "dial inside the function"},
		{ptr(any(&net.TCPListener{})), "net.TCPListener", "listen inside the function"},
		{ptr(unsafe.Pointer(&n)), "unsafe.Pointer", "capture a typed pointer"},
		{ptr(_Ctype_handle(1)), "codec._Ctype_handle", "capture a typed pointer"},
		{new(sync.Mutex), "sync.Mutex", "leave it out"},
		{new(sync.Once), "sync.Once", "leave it out"},
		{new(struct{ n atomic.Int64 }), ".n (atomic.Int64)", "leave it out"},
		{new(struct{ m [7]struct{ p sync.Pool } }), ".m[0].p (sync.Pool)", "leave it out"},
		{ptr(&guarded{}), "*codec.guarded → .deep.mu (sync.RWMutex)", `PerProcess("guarded", g)`},
		{ptr(owner{items: []*guarded{nil, {}}}), "codec.owner → .items ([]*codec.guarded) → [0] (*codec.guarded) → .deep.mu (sync.RWMutex)", "PerProcess"},
		{new(*guarded), "*codec.guarded → .deep.mu (sync.RWMutex)", `PerProcess("guarded", g)`},
		{new([]guarded), "[]codec.guarded", "leave it out"},
		{new(map[int]guarded), "map[int]codec.guarded", "leave it out"},
		{ptr(owner{table: map[string]*guarded{"a": {}}}), ".table (map[string]*codec.guarded) → an entry of the map", "PerProcess"},
		{ptr(any(unique.Make("a"))), "unique.Handle[string]", "capture the value itself"},
		{ptr(any(weak.Make(&n))), "weak.Pointer[int]", "capture the value itself"},
		{ptr(any(t.Context())), "context.cancelCtx", "use the ctx that the function receives"},
		{new(context.CancelFunc), "context.CancelFunc", "cancel the ctx"},
		{ptr(time.NewTimer(time.Hour)), "time.Timer", "inside the function"},
		{ptr(t), "testing.T", "outside the function"},
		{new(http.ResponseWriter), "http.ResponseWriter", "struct{ io.Writer }{w}"},
		{ptr(reflect.ValueOf(1)), "reflect.Value", "the value itself"},
		{ptr(any(reflect.New(reflect.StructOf([]reflect.StructField{{Name: "A", Type: reflect.TypeFor[*int]()}})).Interface())), "struct { A *int }", "made at run time"},
	} {
		t.Run(c.path, func(t *testing.T) {
			_, encoded := Encode(c.value, Options{})
			for _, err := range []error{encoded, Check(c.value)} {
				var refused *SendError
				if !errors.As(err, &refused) {
					if err == encoded || !strings.Contains(c.path, "entry") { // Check does not read maps
						t.Errorf("got %v", err)
					}
					continue
				}
				if !strings.Contains(refused.Path, c.path) || !strings.Contains(refused.Reason, c.way) {
					t.Errorf("got path %q, reason %q", refused.Path, refused.Reason)
				}
			}
		})
	}
}

func ptr[T any](v T) *T { return &v }

func TestCapturedLock_isRefusedWithItsPath(t *testing.T) {
	s := &owner{items: []*guarded{{name: "x"}}}
	var f task = thunk[int]{func(context.Context) (int, error) { return len(s.items), nil }}
	_, err := Encode(&f, Options{})
	want := "cannot cross: func github.com/fleetinglambda/flame/internal/codec.TestCapturedLock_isRefusedWithItsPath.func1 (refuse_test.go:"
	if err == nil || !strings.HasPrefix(err.Error(), want) ||
		!strings.Contains(err.Error(), "): captured *codec.owner → .items ([]*codec.guarded) → [0] (*codec.guarded) → .deep.mu (sync.RWMutex): it has a sync.RWMutex") {
		t.Errorf("got %v", err)
	}
}

func TestN18_tooLargeNamesTheLargestPart(t *testing.T) {
	v := struct {
		name  string
		cache []byte
	}{"n", make([]byte, 5000)}
	_, err := Encode(&v, Options{Limit: 1000})
	if err == nil || !strings.Contains(err.Error(), ".cache ([]uint8)") || !strings.Contains(err.Error(), "limit is 1.0 kB; this part alone has 5.0 kB") {
		t.Errorf("got %v", err)
	}
	if _, err := Encode(&v, Options{Limit: 6000}); err != nil {
		t.Error(err)
	}
}

func TestAPathNamesItsFunctionOnce(t *testing.T) {
	ch := make(chan int)
	fn := func() int { return <-ch }
	err := Check(&fn)
	if err == nil || strings.Count(err.Error(), "func ") != 1 || !strings.Contains(err.Error(), "captured chan int") {
		t.Error(err)
	}
}

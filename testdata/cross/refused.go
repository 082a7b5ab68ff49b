package cross

import (
	"bytes"
	"context"
	"crypto/tls"
	"database/sql"
	"hash/maphash"
	"html/template"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unique"
	"weak"
)

type server struct {
	name  string
	mu    sync.RWMutex
	users map[string]int
}

type app struct {
	server *server
	db     *sql.DB
	limits struct{ inFlight atomic.Int64 }
}

// stamped has the encoding of the time that it embeds, which would lose the rest.
type stamped struct {
	time.Time
	mu   sync.Mutex
	name string
}

func (r *rows) shared() {
	mu, rw, wg, once, cond, pool := new(sync.Mutex), new(sync.RWMutex), new(sync.WaitGroup), new(sync.Once), sync.NewCond(new(sync.Mutex)), new(sync.Pool)
	hits, flag := new(atomic.Int64), new(atomic.Bool)
	s, a := &server{name: "s"}, &app{server: new(server)}
	servers, byName := []*server{s}, map[string]*server{"s": s}
	var boxed any = s
	var none *server
	value := app{}
	onceValue := sync.OnceValue(func() int { return 1 })
	page := template.Must(template.New("page").Parse("page"))
	var local sync.Mutex
	promoted := &stamped{name: "n"}
	// refused: captured *sync.Mutex: it is for goroutines of one process: lock, wait and count where the function returns
	r.add(func() any { mu.Lock(); return nil })
	// refused: captured *sync.RWMutex: it is for goroutines of one process: lock, wait and count where the function returns
	r.add(func() any { rw.RLock(); return nil })
	// refused: captured *sync.WaitGroup: it is for goroutines of one process: lock, wait and count where the function returns
	r.add(func() any { wg.Wait(); return nil })
	// refused: captured *sync.Once: it is for goroutines of one process: lock, wait and count where the function returns
	r.add(func() any { once.Do(func() {}); return nil })
	// refused: captured *sync.Cond: it is for goroutines of one process: lock, wait and count where the function returns
	r.add(func() any { cond.Signal(); return nil })
	// refused: captured *sync.Pool: it is for goroutines of one process: lock, wait and count where the function returns
	r.add(func() any { return pool.Get() })
	// refused: captured *atomic.Int64: it is for goroutines of one process: lock, wait and count where the function returns
	r.add(func() any { return hits.Load() })
	// refused: captured *atomic.Bool: it is for goroutines of one process: lock, wait and count where the function returns
	r.add(func() any { return flag.Load() })
	// refused: captured *cross.server → .mu (sync.RWMutex): it has a sync.RWMutex, so goroutines of this process share it: if every process has its own, declare that in main: flame.PerProcess("server", s)
	r.add(func() any { return s.name })
	// refused: captured *cross.app → .limits.inFlight (atomic.Int64): it has an atomic.Int64, so goroutines of this process share it: if every process has its own, declare that in main: flame.PerProcess("app", a)
	r.add(func() any { return a.server.name })
	// refused: captured []*cross.server → [0] (*cross.server) → .mu (sync.RWMutex): it has a sync.RWMutex, so goroutines of this process share it: if every process has its own, declare that in main: flame.PerProcess("server", s)
	r.add(func() any { return servers[0].name })
	// refused: captured map[string]*cross.server → an entry of the map[string]*cross.server → .mu (sync.RWMutex): it has a sync.RWMutex, so goroutines of this process share it: if every process has its own, declare that in main: flame.PerProcess("server", s)
	r.add(func() any { return len(byName) })
	// refused: captured interface {} → .mu (sync.RWMutex): it has a sync.RWMutex, so goroutines of this process share it: if every process has its own, declare that in main: flame.PerProcess("server", s)
	r.add(func() any { return boxed })
	// refused: captured *cross.server → .mu (sync.RWMutex): it has a sync.RWMutex, so goroutines of this process share it: if every process has its own, declare that in main: flame.PerProcess("server", s)
	r.add(func() any { return none == nil })
	// refused: captured atomic.Int64: it is for goroutines of one process: leave it out of what the function captures
	r.add(func() any { return value.db == nil })
	// refused: captured func() int → func (oncefunc.go:57): captured *struct { f func() int; once sync.Once; valid bool; p interface {}; result int }: its type is made of type parameters and stands nowhere in the program: pass it through a function that is not generic
	r.add(func() any { return onceValue() })
	// refused: captured *template.Template → .nameSpace (*template.nameSpace) → .mu (sync.Mutex): it has a sync.Mutex, so goroutines of this process share it: if every process has its own, declare that in main for the *template.Template: flame.PerProcess("template", t)
	r.add(func() any { return page.Name() })
	// refused: captured *sync.Mutex: it is for goroutines of one process: lock, wait and count where the function returns
	r.add(func() any { local.Lock(); return nil })
	// refused: captured *cross.stamped → .mu (sync.Mutex): it has a sync.Mutex, so goroutines of this process share it: if every process has its own, declare that in main: flame.PerProcess("stamped", s)
	r.add(func() any { return promoted.name })
}

func (r *rows) handles() {
	file := os.Stdin
	process, _ := os.FindProcess(os.Getpid())
	command := exec.Command("true")
	server, client := net.Pipe()
	var listener net.Listener
	tcp := new(net.TCPConn)
	db := new(sql.DB)
	web, transport := http.DefaultClient, new(http.Transport)
	timer, ticker := time.NewTimer(time.Hour), time.NewTicker(time.Hour)
	timer.Stop()
	ticker.Stop()
	var t *testing.T
	conf := &tls.Config{}
	root := new(os.Root)
	// refused: captured *os.File: a file is open in this process only: open it inside the function, or hold it as an io.Reader, io.Writer or the like: in := struct{ io.Reader }{file}
	r.add(func() any { return file.Name() })
	// refused: captured *os.Process: it belongs to this process: open it inside the function
	r.add(func() any { return process.Pid })
	// refused: captured *exec.Cmd: it belongs to this process: open it inside the function
	r.add(func() any { return command.Args })
	// refused: captured net.Conn: a connection is open in this process only: dial inside the function
	r.add(func() any { return server.Close() })
	// refused: captured net.Conn: a connection is open in this process only: dial inside the function
	r.add(func() any { return client })
	// refused: captured net.Listener: a listener is open in this process only: listen inside the function
	r.add(func() any { return listener })
	// refused: captured *net.TCPConn → .conn (net.conn): a connection is open in this process only: dial inside the function
	r.add(func() any { return tcp })
	// refused: captured *sql.DB → .waitDuration (atomic.Int64): it has an atomic.Int64, so goroutines of this process share it: if every process has its own, declare that in main: flame.PerProcess("db", d)
	r.add(func() any { return db.Ping() })
	// crosses
	r.add(func() any { return web.Timeout })
	// refused: captured *http.Transport → .idleMu (sync.Mutex): it has a sync.Mutex, so goroutines of this process share it: if every process has its own, declare that in main: flame.PerProcess("transport", t)
	r.add(func() any { return transport })
	// refused: captured *time.Timer: timers run in one process: make it inside the function
	r.add(func() any { return timer.C })
	// refused: captured *time.Ticker: timers run in one process: make it inside the function
	r.add(func() any { return ticker })
	// refused: captured *testing.T: tests run in one process: use what it knows outside the function, or return an error
	r.add(func() any { t.Log("here"); return nil })
	// refused: captured *tls.Config → .mutex (sync.RWMutex): it has a sync.RWMutex, so goroutines of this process share it: if every process has its own, declare that in main: flame.PerProcess("config", c)
	r.add(func() any { return conf })
	// refused: captured *os.Root: it belongs to this process: open it inside the function
	r.add(func() any { return root.Name() })
}

func (r *rows) streams() {
	both, send, receive := make(chan int), make(chan<- *sync.Mutex, 1), make(<-chan context.Context)
	from := struct{ io.ReaderFrom }{&bytes.Buffer{}}
	runes := struct{ io.RuneScanner }{&bytes.Buffer{}}
	var text io.StringWriter
	var w http.ResponseWriter
	_, cancel := context.WithCancel(context.Background())
	_, cause := context.WithCancelCause(context.Background())
	// refused: captured chan int: a channel crosses in one direction: var progress chan<- int = ch, and capture progress, or var in <-chan int = ch
	r.add(func() any { return both })
	// refused: captured chan<- *sync.Mutex → an element → *sync.Mutex: it is for goroutines of one process: leave it out of what the function captures
	r.add(func() any { send <- nil; return nil })
	// refused: captured <-chan context.Context → an element → context.Context: a context.Context is lent to a call and does not pass through a channel: let the function capture it
	r.add(func() any { return <-receive })
	// refused: captured io.ReaderFrom: only Read, Write, Seek, Close, ReadAt and WriteAt of a stream can be called from a runner: hold it as an io.Reader, io.Writer or the like
	r.add(func() any { return from })
	// refused: captured io.RuneScanner: only Read, Write, Seek, Close, ReadAt and WriteAt of a stream can be called from a runner: hold it as an io.Reader, io.Writer or the like
	r.add(func() any { return runes })
	// refused: captured io.StringWriter: only Read, Write, Seek, Close, ReadAt and WriteAt of a stream can be called from a runner: hold it as an io.Reader, io.Writer or the like
	r.add(func() any { return text })
	// refused: captured http.ResponseWriter: an http.ResponseWriter answers in this process: hold it as an io.Writer: out := struct{ io.Writer }{w}
	r.add(func() any { return w })
	// refused: captured context.CancelFunc: it ends a context of this process: cancel the ctx given to the call
	r.add(func() any { cancel(); return nil })
	// refused: captured context.CancelCauseFunc: it ends a context of this process: cancel the ctx given to the call
	r.add(func() any { cause(nil); return nil })
}

func (r *rows) unsafe() {
	word := "w"
	pointer := reflect.ValueOf(&word).UnsafePointer()
	value := reflect.ValueOf(word)
	handle, ref := unique.Make("u"), weak.Make(&word)
	seed := maphash.MakeSeed()
	random := rand.New(rand.NewPCG(1, 2))
	made := reflect.New(reflect.StructOf([]reflect.StructField{{Name: "A", Type: reflect.TypeFor[*int]()}})).Interface()
	stub := reflect.MakeFunc(reflect.TypeFor[func()](), func([]reflect.Value) []reflect.Value { return nil }).Interface().(func())
	// refused: captured unsafe.Pointer: what it points to is not known: capture a typed pointer
	r.add(func() any { return pointer })
	// refused: captured reflect.Value: it points into this process: capture the value itself
	r.add(func() any { return value })
	// refused: captured unique.Handle[string]: unique.Handle, weak.Pointer and hash seeds mean nothing in another process: capture the value itself
	r.add(func() any { return handle })
	// refused: captured weak.Pointer[string]: unique.Handle, weak.Pointer and hash seeds mean nothing in another process: capture the value itself
	r.add(func() any { return ref })
	// refused: captured maphash.Seed: unique.Handle, weak.Pointer and hash seeds mean nothing in another process: capture the value itself
	r.add(func() any { return seed })
	// crosses
	r.add(func() any { return random.Int() })
	// refused: captured interface {} → (*struct { A *int }): the type was made at run time by reflect: use a type that the program declares
	r.add(func() any { return made })
	// refused: captured func() → func (asm_amd64.s:28): where the program makes this closure was not found, so what it captured is not known: move the code into a top-level function or a method and pass what it needs
	r.add(func() any { stub(); return nil })
}

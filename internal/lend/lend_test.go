package lend

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// office is the owner of a desk.
type office struct {
	wg      sync.WaitGroup
	dropped atomic.Int64
	failure atomic.Pointer[error]
}

func (o *office) Fail(err error) { o.failure.CompareAndSwap(nil, &err) }
func (o *office) Go(f func())    { o.wg.Go(f) }
func (o *office) Dropped(n int)  { o.dropped.Add(int64(n)) }

// failed is why the call was ended.
func (o *office) failed() error {
	if err := o.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// wire joins a desk and a borrower as a session does.
type wire struct {
	ctx     context.Context
	desk    *Desk
	backlog int

	mu    sync.Mutex
	heed  func([]byte)
	early [][]byte
}

func (w *wire) Context() context.Context { return w.ctx }
func (w *wire) Backlog() int             { return w.backlog }

func (w *wire) Of(context.Context) uint64 { return 0 }

func (w *wire) Note(n []byte) bool {
	w.desk.Noted(bytes.Clone(n))
	return true
}

func (w *wire) Listen(heed func([]byte)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range w.early {
		heed(n)
	}
	w.heed, w.early = heed, nil
}

func (w *wire) send(n []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.heed == nil {
		w.early = append(w.early, n)
		return
	}
	w.heed(n)
}

// call makes both ends of one call.
func call(t *testing.T) (*Desk, *Borrower, *wire) {
	t.Helper()
	o := new(office)
	d := &Desk{Context: t.Context(), Owner: o}
	ctx, cancel := context.WithCancel(context.Background())
	w := &wire{ctx: ctx, desk: d}
	b := &Borrower{Link: w}
	t.Cleanup(func() {
		b.End()
		cancel()
		d.Close()
		o.wg.Wait()
	})
	return d, b, w
}

// cross lends v in a variable of type T and borrows it on the other side.
func cross[T any](t *testing.T, d *Desk, b *Borrower, v T) T {
	t.Helper()
	ref, err := d.Lend(v, reflect.TypeFor[T]())
	if err != nil {
		t.Fatal(err)
	}
	got, err := b.Borrow(ref, reflect.TypeFor[T]())
	if err != nil {
		t.Fatal(err)
	}
	return got.(T)
}

func TestContextsKeepTheirForm(t *testing.T) {
	type key struct{}
	cancelled, cancel := context.WithCancel(context.Background())
	defer cancel()
	timed, stop := context.WithTimeout(context.Background(), time.Hour)
	defer stop()
	signalled, ignore := signal.NotifyContext(context.Background(), os.Interrupt)
	defer ignore()
	d, b, w := call(t)
	d.Bind(w.send)
	for _, ctx := range []context.Context{cancelled, timed, context.WithValue(cancelled, key{}, 1), context.WithoutCancel(timed)} {
		got := cross(t, d, b, ctx)
		if reflect.TypeOf(got) != reflect.TypeOf(ctx) || got == ctx || got.Err() != nil {
			t.Errorf("a %T for a %T: %v", got, ctx, got.Err())
		}
		_, want := ctx.Deadline()
		if _, has := got.Deadline(); has != want || got.Value(key{}) != nil {
			t.Errorf("a %T has a deadline: %v, and a value: %v", ctx, has, got.Value(key{}))
		}
		if again := cross(t, d, b, ctx); again != got {
			t.Errorf("one %T became two", ctx)
		}
	}
	if got := cross[context.Context](t, d, b, signalled); got.Err() != nil {
		t.Error(got.Err())
	}
	if got := cross(t, d, b, t.Context()); reflect.TypeOf(got) != reflect.TypeOf(t.Context()) || got != b.Context() {
		t.Errorf("the call's own context is a %T, not the one that the function gets", got)
	}
}

func TestAContextsEndCrossesOnceBoundWithItsCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, b, w := call(t)
		ctx, cancel := context.WithCancelCause(context.Background())
		got := cross[context.Context](t, d, b, ctx)
		child, stop := context.WithTimeout(got, time.Hour)
		defer stop()
		cancel(io.ErrNoProgress)
		synctest.Wait()
		if got.Err() != nil {
			t.Error("it ended before the call was sent")
		}
		d.Bind(w.send)
		synctest.Wait()
		if got.Err() != context.Canceled || context.Cause(got) != io.ErrNoProgress || child.Err() != context.Canceled || context.Cause(child) != io.ErrNoProgress {
			t.Errorf("%v, %v; its child %v, %v", got.Err(), context.Cause(got), child.Err(), context.Cause(child))
		}
	})
}

func TestADeadlineIsKeptWithoutTheParent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, b, _ := call(t)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		inner, stop := context.WithCancel(ctx)
		defer stop()
		timed, derived := cross(t, d, b, ctx), cross(t, d, b, inner)
		time.Sleep(time.Minute - time.Second)
		if timed.Err() != nil || derived.Err() != nil {
			t.Error("too early:", timed.Err(), derived.Err())
		}
		time.Sleep(2 * time.Second)
		if timed.Err() != context.DeadlineExceeded || derived.Err() != context.DeadlineExceeded {
			t.Error(timed.Err(), derived.Err())
		}
	})
}

// counted counts what is read.
type counted struct{ read atomic.Int64 }

func (c *counted) Read(b []byte) (int, error) {
	c.read.Add(int64(len(b)))
	return len(b), nil
}

func TestF12_NothingIsReadBeforeTheFunctionReadsAndNotFarAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, b, w := call(t)
		d.Bind(w.send)
		from := new(counted)
		r := cross[io.Reader](t, d, b, from)
		synctest.Wait()
		if n := from.read.Load(); n != 0 {
			t.Errorf("%d bytes were read", n)
		}
		for done := int64(0); done < 4*window; done += 1000 {
			if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if ahead := from.read.Load() - done - 1000; ahead > window || ahead < 0 {
				t.Fatalf("%d bytes ahead after %d", ahead, done+1000)
			}
		}
		d.Close()
		before := from.read.Load()
		b.End()
		if _, err := io.Copy(io.Discard, r); !errors.Is(err, errOver) {
			t.Error(err)
		}
		if n := from.read.Load(); n != before {
			t.Errorf("%d bytes were read after the call", n-before)
		}
	})
}

func TestAReaderThatCannotBeClosedDoesNotBecomeOne(t *testing.T) {
	d, b, _ := call(t)
	file := io.NopCloser(strings.NewReader("x"))
	if _, closes := cross[io.Reader](t, d, b, file).(io.Closer); closes {
		t.Error("an io.Reader can be closed")
	}
	cross[io.ReadCloser](t, d, b, file)
}

func TestF14_RecordsAreDroppedAndCountedWhenTheLoggerIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, b, w := call(t)
		gate, lines := make(chan struct{}), 0
		l := cross(t, d, b, slog.New(slog.NewTextHandler(writerFunc(func([]byte) { <-gate; lines++ }), nil)))
		const n, size = 100, 30 << 10
		for range n {
			l.Info(strings.Repeat("x", size))
		}
		w.backlog = maxBacklog + 1
		l.Info("the wire is full")
		w.backlog = 0
		close(gate)
		d.Wait(t.Context())
		l.Info("the last")
		d.Close()
		d.Wait(t.Context())
		dropped := int(d.Owner.(*office).dropped.Load())
		if lines+dropped != n+2 || lines < maxUndelivered/size || lines > maxUndelivered/size+3 {
			t.Errorf("%d lines, %d dropped", lines, dropped)
		}
	})
}

type writerFunc func([]byte)

func (w writerFunc) Write(b []byte) (int, error) {
	w(b)
	return len(b), nil
}

func TestLongRecordsAreCut(t *testing.T) {
	d, b, _ := call(t)
	var out bytes.Buffer
	l := cross(t, d, b, slog.New(slog.NewTextHandler(&out, nil)))
	l.Info(strings.Repeat("x", 1<<20), "more", strings.Repeat("y", 1<<20))
	d.Close()
	d.Wait(t.Context())
	if n := out.Len(); n < maxText || n > maxText+300 || !strings.Contains(out.String(), "(cut, with its attributes: too long)") {
		t.Errorf("%d bytes", n)
	}
}

func TestCloseEndsAReadersWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, b, w := call(t)
		d.Bind(w.send)
		blocked, _ := io.Pipe()
		r := cross[io.Reader](t, d, b, blocked)
		wg := sync.WaitGroup{}
		wg.Go(func() { r.Read(make([]byte, 1)) })
		synctest.Wait()
		b.End()
		wg.Wait()
		d.Close()
		start := time.Now()
		d.Wait(t.Context())
		if took := time.Since(start); took != useTime {
			t.Errorf("Wait took %v though the reader blocks", took)
		}
		blocked.Close()
	})
}

// FuzzNoted: what a runner notes may be any bytes.
func FuzzNoted(f *testing.F) {
	for o := ended; o <= answered; o++ {
		f.Add(note(0, o), note(uint64(o)%4, o, 1, 2, 3))
	}
	f.Add([]byte{0xff, 0xff}, []byte{})
	f.Fuzz(func(t *testing.T, first, second []byte) {
		d, b, w := call(t)
		d.Bind(w.send)
		cross(t, d, b, slog.New(slog.DiscardHandler))
		cross(t, d, b, log.New(io.Discard, "", log.Lshortfile))
		cross[io.Reader](t, d, b, io.LimitReader(new(counted), 1000))
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		cross(t, d, b, ctx)
		d.Noted(first)
		d.Noted(second)
	})
}

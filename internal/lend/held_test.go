package lend

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/fleetinglambda/flame/internal/codec"
)

// road joins the two ends of a held call as a session does.
type road struct {
	ctx       context.Context
	cancel    context.CancelCauseFunc
	held      *Held
	abandoned atomic.Int64
	failure   atomic.Pointer[error]

	mu   sync.Mutex
	heed func([]byte)
}

func (r *road) Context() context.Context { return r.ctx }
func (r *road) Backlog() int             { return 0 }
func (r *road) Abandoned()               { r.abandoned.Add(1) }

func (r *road) Of(context.Context) uint64 { return 0 }

func (r *road) Fail(err error) {
	r.failure.CompareAndSwap(nil, &err)
	r.cancel(err)
}

func (r *road) Note(n []byte) bool { return r.held.Noted(bytes.Clone(n)) }

func (r *road) Listen(heed func([]byte)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heed = heed
}

func (r *road) send(n []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heed(n)
}

// held makes both ends of a call whose result holds something, and what ends it.
func held(t testing.TB) (*Returned, *Held, *road, func(error)) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(context.Background())
	r := &road{ctx: ctx, cancel: cancel}
	r.held = &Held{Owner: r}
	t.Cleanup(func() {
		cancel(nil)
		r.held.End(errOver)
	})
	return &Returned{Link: r}, r.held, r, cancel
}

// comeBack lends v with a result, in a variable of type T, and borrows it on the parent.
func comeBack[T any](t testing.TB, from *Returned, to *Held, v T) T {
	t.Helper()
	ref, err := from.Lend(v, reflect.TypeFor[T]())
	if err != nil {
		t.Fatal(err)
	}
	got, err := to.Borrow(ref, reflect.TypeFor[T]())
	if err != nil {
		t.Fatal(err)
	}
	return got.(T)
}

// TestF13_WhatTheParentDoesWithAResultIsWhatItsRunnerWouldDo takes the same steps with a file and with what stands in for
// the one that a function has returned.
func TestF13_WhatTheParentDoesWithAResultIsWhatItsRunnerWouldDo(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		size, most := rapid.IntRange(0, 700<<10).Draw(rt, "size"), rapid.SampledFrom([]int{1000, 40000, 1 << 20}).Draw(rt, "most")
		content := make([]byte, size)
		for i := range content {
			content[i] = byte(i * i >> 8)
		}
		here, lentOne := &memory{data: bytes.Clone(content), most: most}, &memory{data: content, most: most}
		from, to, r, _ := held(t)
		there := comeBack[device](t, from, to, lentOne)
		from.Begin()
		to.Bind(r.send)
		for i, s := range steps(rt) {
			if here.closed && s.what == "write" || s.what == "settle" {
				continue
			}
			if s.what == "close" && here.closed {
				break
			}
			want := s.take(here, byte(i), nil)
			if got := s.take(there, byte(i), nil); got != want {
				rt.Fatalf("step %d, %+v: %s instead of %s", i, s, got, want)
			}
		}
		if !here.closed {
			if err := there.Close(); err != nil {
				rt.Error(err)
			}
			here.Close()
		}
		if err := from.Wait(context.Background()); err != nil || r.failure.Load() != nil {
			rt.Error(err, r.failure.Load())
		}
		if !bytes.Equal(here.data, lentOne.data) || !lentOne.closed {
			rt.Error("what was written is not there")
		}
	})
}

// tape counts how often it is closed.
type tape struct {
	io.Reader
	closed atomic.Int64
	err    error
}

func (t *tape) Close() error {
	t.closed.Add(1)
	return t.err
}

func TestF13_WhatNobodyHasIsClosed(t *testing.T) {
	from, to, r, _ := held(t)
	one, two := &tape{Reader: strings.NewReader("one")}, &tape{Reader: strings.NewReader("two"), err: fs.ErrPermission}
	a, b := comeBack[io.ReadCloser](t, from, to, one), comeBack[io.Closer](t, from, to, two)
	from.Begin()
	to.Bind(r.send)
	if text, err := io.ReadAll(a); string(text) != "one" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	if err := b.Close(); !errors.Is(err, fs.ErrPermission) {
		t.Error(err)
	}
	runtime.KeepAlive(a) // and no longer
	for r.failure.Load() == nil {
		runtime.GC()
	}
	if err := from.Wait(r.ctx); err != nil || *r.failure.Load() != errLost {
		t.Error(err, *r.failure.Load())
	}
	if one.closed.Load() != 1 || two.closed.Load() != 1 || r.abandoned.Load() != 1 {
		t.Errorf("closed %d and %d times, %d warnings", one.closed.Load(), two.closed.Load(), r.abandoned.Load())
	}
}

func TestF13_WhatIsLostIsClosedWhileAnotherIsUsed(t *testing.T) {
	from, to, r, _ := held(t)
	one, two := &tape{Reader: strings.NewReader("one")}, &tape{Reader: strings.NewReader("two")}
	comeBack[io.ReadCloser](t, from, to, one)
	b := comeBack[io.ReadCloser](t, from, to, two)
	from.Begin()
	to.Bind(r.send)
	for one.closed.Load() == 0 {
		runtime.GC()
	}
	if text, err := io.ReadAll(b); string(text) != "two" || err != nil || r.failure.Load() != nil {
		t.Errorf("%q, %v", text, err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if failed := r.failure.Load(); failed == nil || *failed != errLost { // the one may take its time to close, and nobody waits
		t.Errorf("the call goes on: %v", failed)
	}
}

func TestF13_WhatIsOpenWhenTheCallEndsIsClosedOnItsRunner(t *testing.T) {
	from, to, r, cancel := held(t)
	blocked, other := io.Pipe()
	one := &tape{}
	a, b := comeBack[io.ReadCloser](t, from, to, blocked), comeBack[io.ReadCloser](t, from, to, io.ReadCloser(one))
	from.Begin()
	to.Bind(r.send)
	why := errors.New("enough")
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := a.Read(make([]byte, 1)); err != why {
			t.Errorf("read: %v", err)
		}
	})
	cancel(why)
	if err := from.Wait(r.ctx); err != nil {
		t.Error(err)
	}
	to.End(why)
	to.End(io.EOF)
	wg.Wait()
	if _, err := other.Write([]byte("x")); err != io.ErrClosedPipe || one.closed.Load() != 1 {
		t.Errorf("%v, closed %d times", err, one.closed.Load())
	}
	if err := b.Close(); err != why {
		t.Error(err)
	}
	late := newBorrowedStreamOf(t, to)
	if _, err := late.Read(make([]byte, 1)); err != why {
		t.Errorf("what came after the end: %v", err)
	}
}

func newBorrowedStreamOf(t *testing.T, to *Held) io.ReadCloser {
	ref := append(binary.AppendUvarint(nil, returnedFrom+uint64(len(to.things))), byte(aStream), 0)
	got, err := to.Borrow(ref, reflect.TypeFor[io.ReadCloser]())
	if err != nil {
		t.Fatal(err)
	}
	return got.(io.ReadCloser)
}

func TestF13_WhatCannotBeReturned(t *testing.T) {
	from, _, _, _ := held(t)
	for _, as := range []reflect.Type{reflect.TypeFor[io.Reader](), contextType, reflect.TypeFor[*memory]()} {
		if _, err := from.Lend(&memory{}, as); err == nil || !strings.Contains(err.Error(), "could close") {
			t.Errorf("a %v: %v", as, err)
		}
	}
	if from.Lent() {
		t.Error("it is lent all the same")
	}
	many := make([]*tape, maxReturned+1)
	for i := range many {
		many[i] = new(tape)
		if _, err := from.Lend(many[i], reflect.TypeFor[io.ReadCloser]()); (err != nil) != (i == maxReturned) {
			t.Fatalf("number %d: %v", i, err)
		}
	}
	from.End()
	for i := range many {
		if n := many[i].closed.Load(); n != 1 {
			t.Fatalf("number %d was closed %d times", i, n)
		}
	}
}

func TestF13_ARunnerMayLendOnlyWhatItCan(t *testing.T) {
	readCloser := reflect.TypeFor[io.ReadCloser]()
	ref := func(number uint64, rest ...byte) []byte { return append(binary.AppendUvarint(nil, number), rest...) }
	for name, c := range map[string]struct {
		ref []byte
		as  reflect.Type
	}{
		"nothing": {nil, readCloser}, "the call's context": {[]byte{1}, contextType}, "a context": {ref(returnedFrom, byte(aContext), 0), contextType},
		"a logger":         {ref(returnedFrom, byte(aLogger), 0), reflect.TypeFor[interface{ Close() }]()},
		"not for sale":     {ref(returnedFrom, byte(aStream), 0), reflect.TypeFor[io.Reader]()},
		"the parent's":     {ref(0, byte(aStream), 0), readCloser},
		"not the next one": {ref(returnedFrom+1, byte(aStream), 0), readCloser},
		"far away":         {ref(1<<64-1, byte(aStream), 0), readCloser},
		"too short":        {ref(returnedFrom, byte(aStream)), readCloser},
		"too long":         {ref(returnedFrom, byte(aStream), 0, 0), readCloser},
		"no interface":     {ref(returnedFrom, byte(aStream), 0), reflect.TypeFor[*tape]()},
	} {
		_, to, _, _ := held(t)
		if got, err := to.Borrow(c.ref, c.as); err == nil || got != nil || to.Any() {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	_, to, _, _ := held(t)
	for i := range uint64(maxReturned) {
		if _, err := to.Borrow(ref(returnedFrom+i, byte(aStream), 1), readCloser); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := to.Borrow(ref(returnedFrom+maxReturned, byte(aStream), 1), readCloser); err == nil {
		t.Error("there is no end")
	}
}

func TestF13_ARunnerThatDoesNotKeepToTheRulesIsAnError(t *testing.T) {
	lines := func(o op, args ...byte) []byte { return note(returnedFrom, o, args...) }
	for name, c := range map[string]struct {
		use   func(d device) error
		hears func(r *road)
	}{
		"more than was asked for": {
			func(d device) error { _, err := d.Read(make([]byte, 1)); return err },
			func(r *road) {
				for range 6 {
					r.Note(lines(read, append([]byte{1}, make([]byte, 60<<10)...)...))
				}
			},
		},
		"more read than there was room for": {
			func(d device) error { _, err := d.ReadAt(make([]byte, 3), 0); return err },
			func(r *road) { r.Note(packAnswer(returnedFrom, 1, reply{number: 7, data: []byte("1234567")})) },
		},
		"a number that is none of bytes": {
			func(d device) error { _, err := d.ReadAt(make([]byte, 3), 0); return err },
			func(r *road) { r.Note(packAnswer(returnedFrom, 1, reply{number: 1 << 40})) },
		},
		"less than nothing": {
			func(d device) error { _, err := d.WriteAt(make([]byte, 3), 0); return err },
			func(r *road) { r.Note(packAnswer(returnedFrom, 1, reply{number: -1})) },
		},
		"an answer to nothing": {
			func(d device) error { _, err := d.Seek(0, 0); return err },
			func(r *road) { r.Note(packAnswer(returnedFrom, 2, reply{})) },
		},
		"errors without end": {
			func(d device) error { _, err := d.Seek(0, 0); return err },
			func(r *road) {
				r.Note(lines(unwritten, packError(io.EOF)...))
				r.Note(lines(unwritten, packError(io.EOF)...))
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			from, to, r, _ := held(t)
			d := comeBack[device](t, from, to, &memory{})
			to.Bind(func([]byte) { r.mu.Lock(); defer r.mu.Unlock() })
			var wg sync.WaitGroup
			wg.Go(func() {
				for s := to.things[0].stream.Value(); !s.asks(); {
					runtime.Gosched()
				}
				c.hears(r)
			})
			err := c.use(d)
			if wg.Wait(); err == nil {
				_, err = d.Read(make([]byte, 1))
			}
			if failed := r.failure.Load(); err != errNote || failed == nil || *failed != errNote {
				t.Errorf("%v; the call: %v", err, failed)
			}
		})
	}
}

// asks says whether somebody waits for something.
func (s *borrowedStream) asks() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.begun || len(s.requests) > 0 || s.over != nil
}

// wild is an error that may hold anything, and hidden what no error names.
type (
	wild   struct{ v any }
	hidden struct{ _ int }
)

func (*wild) Error() string { return "wild" }

// TestF13_AnErrorThatCannotBeReadIsAnError: its bytes are not trusted.
func TestF13_AnErrorThatCannotBeReadIsAnError(t *testing.T) {
	var e error = &wild{hidden{}}
	msg, err := codec.Encode(&e, codec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, garbage := range [][]byte{{0xff, 0xff, 0xff}, bytes.Join(msg, nil)} {
		readGarbage(t, garbage)
	}
}

func readGarbage(t *testing.T, garbage []byte) {
	from, to, r, _ := held(t)
	in := comeBack[io.ReadCloser](t, from, to, new(tape))
	to.Bind(func(n []byte) {})
	var wg sync.WaitGroup
	wg.Go(func() {
		for s := to.things[0].stream.Value(); !s.asks(); {
			runtime.Gosched()
		}
		r.Note(note(returnedFrom, failed, append([]byte{1, 2, 'o', 'k'}, garbage...)...))
	})
	text, err := io.ReadAll(in)
	wg.Wait()
	if string(text) != "ok" || err == nil || errors.As(err, new(*wild)) || r.failure.Load() != nil {
		t.Errorf("%q, %v", text, err)
	}
}

// FuzzNotesAboutResults: what a runner says about what it has returned may be any bytes, and any number of them.
func FuzzNotesAboutResults(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, first, second []byte, times int) {
		from, to, r, _ := held(t)
		d := comeBack[device](t, from, to, &memory{})
		to.Bind(func([]byte) {})
		s := to.things[0].stream.Value()
		s.mu.Lock()
		s.begun, s.requests = true, map[uint64]*wanted{1: {into: make([]byte, 10)}}
		s.mu.Unlock()
		for range times % 1000 {
			for _, n := range [][]byte{first, second} {
				number, size := binary.Uvarint(n)
				r.Note(n)
				r.Note(append(binary.AppendUvarint(nil, returnedFrom+number), n[max(0, size):]...))
			}
		}
		if s.unread > window {
			t.Errorf("%d bytes were taken ahead", s.unread)
		}
		to.End(errOver)
		if _, err := d.Read(make([]byte, 1)); err != errOver {
			t.Errorf("it is read after the call: %v", err)
		}
	})
}

// FuzzTake: a result that lends may be any bytes.
func FuzzTake(f *testing.F) {
	type answer struct {
		name string
		body io.ReadCloser
		more []io.ReadSeekCloser
	}
	lender := new(Returned)
	v := answer{"n", new(tape), []io.ReadSeekCloser{&memory{}, nil, &memory{most: 1}}}
	msg, err := codec.Encode(&v, codec.Options{Result: true, Lender: lender})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(bytes.Join(msg, nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, to, _, _ := held(t)
		var got answer
		if codec.Take(data, &got, to) != nil {
			return
		}
		to.End(fs.ErrClosed)
		for _, r := range append([]io.ReadSeekCloser{}, got.more...) {
			if r == nil {
				continue
			}
			if _, err := r.Seek(0, 0); err != fs.ErrClosed {
				t.Error(err)
			}
		}
	})
}

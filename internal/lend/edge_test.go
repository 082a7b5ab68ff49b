package lend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// odd is a device whose methods return and do what they are told to.
type odd struct {
	n     int
	err   error
	panic any
	calls atomic.Int64
}

func (o *odd) all([]byte) (int, error) {
	o.calls.Add(1)
	if o.panic != nil {
		panic(o.panic)
	}
	return o.n, o.err
}

func (o *odd) Read(b []byte) (int, error)             { return o.all(b) }
func (o *odd) Write(b []byte) (int, error)            { return o.all(b) }
func (o *odd) ReadAt(b []byte, _ int64) (int, error)  { return o.all(b) }
func (o *odd) WriteAt(b []byte, _ int64) (int, error) { return o.all(b) }
func (o *odd) Seek(int64, int) (int64, error)         { n, err := o.all(nil); return int64(n), err }
func (o *odd) Close() error                           { _, err := o.all(nil); return err }

func TestF12_OddReadersAndWritersAreErrors(t *testing.T) {
	for _, c := range []struct {
		is   *odd
		want map[string]string // what the errors of methods are about; "" none
	}{
		{&odd{n: -1}, map[string]string{
			"Read": "the Read of a *lend.odd returned a count of -1 for", "Write": "a count of -1 for 3", "ReadAt": "a count of -1 for 3", "WriteAt": "a count of -1 for 3", "Seek": "", "Close": "",
		}},
		{&odd{n: 1 << 30}, map[string]string{
			"Read": "a count of 1073741824 for", "Write": "a count of 1073741824 for 3", "ReadAt": "a count of 1073741824 for 3", "WriteAt": "a count of 1073741824 for 3", "Seek": "", "Close": "",
		}},
		{&odd{}, map[string]string{
			"Read": io.ErrNoProgress.Error(), "Write": io.ErrShortWrite.Error(), "ReadAt": "", "WriteAt": io.ErrShortWrite.Error(), "Seek": "", "Close": "",
		}},
		{&odd{panic: "no paper"}, map[string]string{
			"Read": "the Read of a *lend.odd panicked: no paper", "Write": "the Write of a *lend.odd panicked: no paper", "ReadAt": "ReadAt of", "WriteAt": "WriteAt of", "Seek": "Seek of", "Close": "Close of",
		}},
		{&odd{err: io.ErrClosedPipe}, map[string]string{
			"Read": "closed pipe", "Write": "closed pipe", "ReadAt": "closed pipe", "WriteAt": "closed pipe", "Seek": "closed pipe", "Close": "closed pipe",
		}},
	} {
		d, b, w := call(t)
		d.Bind(w.send)
		on := cross[device](t, d, b, c.is)
		for method, want := range c.want {
			err := use(on, method, b)
			if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s of %+v: %v", method, c.is, err)
			}
		}
	}
}

// use calls one method, and of a Write waits for what comes of it.
func use(on device, method string, b *Borrower) (err error) {
	three := make([]byte, 3)
	switch method {
	case "Read":
		_, err = on.Read(three)
	case "Write":
		if _, err = on.Write(three); err == nil {
			err = b.Settle(context.Background())
		}
	case "ReadAt":
		_, err = on.ReadAt(three, 1)
	case "WriteAt":
		_, err = on.WriteAt(three, 1)
	case "Seek":
		_, err = on.Seek(1, io.SeekStart)
	case "Close":
		err = on.Close()
	}
	return err
}

func TestF12_AHandleUsedAfterItsCallSaysSo(t *testing.T) {
	d, b, w := call(t)
	d.Bind(w.send)
	on := cross[device](t, d, b, &odd{n: 3})
	b.End()
	for _, method := range []string{"Read", "Write", "Seek", "ReadAt", "WriteAt", "Close", "Close"} {
		if err := use(on, method, b); !errors.Is(err, errOver) {
			t.Errorf("%s: %v", method, err)
		}
	}
}

func TestF12_AParentThatIsGoneIsAnErrorOfWhatItHasLent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, b, w := call(t)
		d.Bind(w.send)
		r, _ := io.Pipe()
		on := cross[io.Reader](t, d, b, r)
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := on.Read(make([]byte, 1)); !errors.Is(err, errGone) {
				t.Error(err)
			}
		})
		synctest.Wait()
		b.heed(nil)
		wg.Wait()
		r.Close()
	})
}

// gate is a writer that waits.
type gate struct {
	open chan struct{}
	got  atomic.Int64
}

func (g *gate) Write(b []byte) (int, error) {
	<-g.open
	g.got.Add(int64(len(b)))
	return len(b), nil
}

func TestF12_AFunctionWritesNotFarAheadOfTheParent(t *testing.T) {
	for _, size := range []int{1, 1000, 100 << 10} {
		synctest.Test(t, func(t *testing.T) {
			d, b, w := call(t)
			d.Bind(w.send)
			to := &gate{open: make(chan struct{})}
			out := cross[io.Writer](t, d, b, to)
			var written atomic.Int64
			var wg sync.WaitGroup
			wg.Go(func() {
				for range 2 * window / (size + writeCost) {
					m, _ := out.Write(make([]byte, size))
					written.Add(int64(m))
				}
			})
			synctest.Wait()
			if n := written.Load(); n > window || n < window/(writeCost+1)-int64(size) {
				t.Errorf("%d bytes were written in pieces of %d though nobody takes them", n, size)
			}
			close(to.open)
			wg.Wait()
			if err := b.Settle(t.Context()); err != nil || to.got.Load() != written.Load() {
				t.Errorf("%d of %d bytes have come, %v", to.got.Load(), written.Load(), err)
			}
		})
	}
}

func TestF12_WhatBlocksInAConnectionIsHurriedAtTheCallsEnd(t *testing.T) {
	for _, method := range []string{"Read", "Write"} {
		synctest.Test(t, func(t *testing.T) {
			d, b, w := call(t)
			d.Bind(w.send)
			conn, other := net.Pipe()
			defer conn.Close()
			defer other.Close()
			on := cross[io.ReadWriter](t, d, b, conn)
			var wg sync.WaitGroup
			wg.Go(func() {
				if method == "Read" {
					on.Read(make([]byte, 3))
				} else {
					on.Write(make([]byte, 3))
				}
			})
			synctest.Wait()
			start := time.Now()
			d.Close()
			d.Wait(t.Context())
			d.using.Wait()
			if took := time.Since(start); took != 0 {
				t.Errorf("%s is out after %v", method, took)
			}
			b.End()
			wg.Wait()
			wg.Go(func() { other.Write([]byte("abc")) })
			wg.Go(func() { io.ReadFull(other, make([]byte, 3)) })
			if n, err := io.ReadFull(conn, make([]byte, 3)); err != nil {
				t.Errorf("%s, and then Read: %d, %v", method, n, err)
			}
			if n, err := conn.Write([]byte("abc")); err != nil {
				t.Errorf("%s, and then Write: %d, %v", method, n, err)
			}
			wg.Wait()
		})
	}
}

func TestF12_CancellingUnblocksEveryMethodWithTheCause(t *testing.T) {
	for _, method := range []string{"Read", "Write", "Seek", "ReadAt", "WriteAt", "Close", "Settle"} {
		synctest.Test(t, func(t *testing.T) {
			d, b, w := call(t)
			ctx, cancel := context.WithCancelCause(context.Background())
			w.ctx = ctx
			d.Bind(w.send)
			s := stuck{make(chan struct{})}
			on := cross[device](t, d, b, s)
			var err error
			var wg sync.WaitGroup
			wg.Go(func() {
				for err == nil {
					if err = use(on, method, b); method == "Settle" && err == nil {
						if _, err = on.Write([]byte("abc")); err == nil {
							err = b.Settle(ctx)
						}
					}
				}
			})
			synctest.Wait()
			cancel(errFull)
			wg.Wait()
			if !errors.Is(err, errFull) {
				t.Errorf("%s: %v", method, err)
			}
			b.End()
			d.Close()
			close(s.open)
			d.using.Wait()
		})
	}
}

// stuck is a device whose every method waits.
type stuck struct{ open chan struct{} }

func (s stuck) Read([]byte) (int, error)  { <-s.open; return 0, io.EOF }
func (s stuck) Write([]byte) (int, error) { <-s.open; return 0, io.EOF }
func (s stuck) Seek(n int64, whence int) (int64, error) {
	if n != 0 || whence != io.SeekCurrent { // it may be asked where it is
		<-s.open
	}
	return 0, nil
}
func (s stuck) ReadAt([]byte, int64) (int, error)  { <-s.open; return 0, io.EOF }
func (s stuck) WriteAt([]byte, int64) (int, error) { <-s.open; return 0, io.EOF }
func (s stuck) Close() error                       { <-s.open; return io.EOF }

func TestF12_CloseWaitsForWhatWasWrittenAndIsTheOriginals(t *testing.T) {
	d, b, w := call(t)
	d.Bind(w.send)
	file := openFile(t, "")
	on := cross[io.WriteCloser](t, d, b, file)
	for range 100 {
		if _, err := on.Write(make([]byte, 10000)); err != nil {
			t.Fatal(err)
		}
	}
	if err := on.Close(); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(file.Name()); err != nil || info.Size() != 1e6 {
		t.Error(info.Size(), err)
	}
	if err := on.Close(); !strings.Contains(fmt.Sprint(err), os.ErrClosed.Error()) {
		t.Errorf("closed twice: %v", err)
	}
	if _, err := on.Write([]byte("x")); err == nil {
		if err := b.Settle(t.Context()); !strings.Contains(fmt.Sprint(err), os.ErrClosed.Error()) {
			t.Errorf("written after Close: %v", err)
		}
	}
}

// TestF12_CloseEndsARead: a connection is closed while it is read.
func TestF12_CloseEndsARead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, b, w := call(t)
		d.Bind(w.send)
		r, _ := io.Pipe()
		on := cross[io.ReadCloser](t, d, b, r)
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := on.Read(make([]byte, 3)); err == nil || err.Error() != io.ErrClosedPipe.Error() {
				t.Error(err)
			}
		})
		synctest.Wait()
		if err := on.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
	})
}

func TestF12_ABufferIsReadAndWrittenInTurn(t *testing.T) {
	d, b, w := call(t)
	d.Bind(w.send)
	on := cross[io.ReadWriter](t, d, b, new(bytes.Buffer))
	for i := range 100 {
		want := fmt.Sprint("line ", i)
		if _, err := io.WriteString(on, want); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 100)
		if n, err := on.Read(got); string(got[:n]) != want || err != nil {
			t.Fatalf("%q, %v", got[:n], err)
		}
		if n, err := on.Read(got); n != 0 || err != io.EOF {
			t.Fatalf("%q, %v", got[:n], err)
		}
	}
}

// TestF12_WhatIsReadAheadAndClosedCountsNoMore closes what goes on all the same.
func TestF12_WhatIsReadAheadAndClosedCountsNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, b, w := call(t)
		d.Bind(w.send)
		on := cross(t, d, b, io.NopCloser(new(counted)))
		for range 10 {
			if n, err := on.Read(make([]byte, 1)); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			synctest.Wait()
			if err := on.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// lastWithData returns its end with the last bytes.
type lastWithData struct{ left int }

func (l *lastWithData) Read(b []byte) (int, error) {
	n := min(len(b), l.left)
	if l.left -= n; l.left == 0 {
		return n, io.EOF
	}
	return n, nil
}

func TestF12_TheEndComesWithTheLastBytesWhereItDoes(t *testing.T) {
	d, b, w := call(t)
	d.Bind(w.send)
	for _, size := range []int{1, 1000, room, room + 1} {
		r := cross[io.Reader](t, d, b, &lastWithData{size})
		buf, left := make([]byte, room), size
		for left > 0 {
			n, err := r.Read(buf)
			if left -= n; (err == io.EOF) != (left == 0) {
				t.Fatalf("%d bytes, %d left: %v", size, left, err)
			}
		}
	}
}

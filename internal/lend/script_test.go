package lend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// line is a connection whose one side follows a script: what its Reads return, and which of its Writes fail.
type line struct {
	reads []lineRead
	bad   []bool // for each Write, in turn

	mu      sync.Mutex
	written [][]byte // by a Write that did not fail
	failed  [][]byte
}

type lineRead struct {
	n   int
	err error
}

func (l *line) Read(b []byte) (int, error) {
	if len(l.reads) == 0 {
		return 0, io.EOF
	}
	r := &l.reads[0]
	n := min(r.n, len(b))
	for i := range n {
		b[i] = byte(r.n - i)
	}
	if r.n -= n; r.n > 0 {
		return n, nil
	}
	err := r.err
	l.reads = l.reads[1:]
	return n, err
}

func (l *line) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fails := len(l.bad) > 0 && l.bad[0]
	l.bad = l.bad[min(1, len(l.bad)):]
	if fails {
		l.failed = append(l.failed, bytes.Clone(b))
		return 0, errFull
	}
	l.written = append(l.written, bytes.Clone(b))
	return len(b), nil
}

func lineReads(t *rapid.T) []lineRead {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) lineRead {
		return lineRead{
			rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(0, 300<<10)).Draw(t, "n"),
			rapid.SampledFrom([]error{nil, nil, nil, io.EOF, io.ErrUnexpectedEOF, errFull}).Draw(t, "err"),
		}
	}), 0, 20).Draw(t, "reads")
}

// TestF12_WhatIsReadAndWrittenIsInOrderAndEveryErrorIsTold takes steps with a connection, of which a function perhaps
// takes the last ones when its call is cancelled.
func TestF12_WhatIsReadAndWrittenIsInOrderAndEveryErrorIsTold(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		script := lineReads(rt)
		here := &line{reads: slices.Clone(script)}
		lentOne := &line{reads: script, bad: rapid.SliceOfN(rapid.SampledFrom([]bool{false, false, true}), 0, 30).Draw(rt, "bad")}
		d, b, w := call(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		w.ctx = ctx
		d.Bind(w.send)
		there := cross[io.ReadWriter](t, d, b, lentOne)
		until := rapid.IntRange(0, 60).Draw(rt, "until")
		f := function{to: there}
		for i, s := range rapid.SliceOfN(rapid.SampledFrom([]string{"read", "write", "write", "settle"}), 0, 40).Draw(rt, "steps") {
			if i == until {
				cancel(io.ErrNoProgress)
				for err := error(nil); err == nil; _, err = there.Read(nil) {
					runtime.Gosched()
				}
			}
			if err := f.step(rt, i, s, here, b); i >= until && s != "settle" && !errors.Is(err, io.ErrNoProgress) {
				rt.Fatalf("%s after the cancel: %v", s, err)
			}
		}
		f.saw(b.Settle(t.Context()))
		b.End()
		d.Close()
		d.Wait(t.Context())
		if d.Owner.(*office).failed() != nil {
			rt.Error(d.Owner.(*office).failed())
		}
		if ctx.Err() == nil {
			f.check(rt, lentOne)
		}
	})
}

// function is what a function has done with a connection.
type function struct {
	to    io.ReadWriter
	wrote [][]byte
	told  []int // after how many writes it was told of errors
}

func (f *function) step(t *rapid.T, i int, s string, here io.Reader, b *Borrower) error {
	size := (i*i*7919 + i) % (300 << 10)
	switch s {
	case "read":
		mine, theirs := make([]byte, size), make([]byte, size)
		n, err := io.ReadFull(f.to, theirs)
		if errors.Is(err, io.ErrNoProgress) {
			return err
		}
		m, want := io.ReadFull(here, mine)
		if m != n || !bytes.Equal(mine[:m], theirs[:n]) || fmt.Sprint(err) != fmt.Sprint(want) {
			t.Fatalf("read %d, %v instead of %d, %v", n, err, m, want)
		}
		return errors.Join(err, map[bool]error{true: io.ErrNoProgress}[size == 0])
	case "write":
		data := bytes.Repeat([]byte{byte(i)}, min(size, room))
		n, err := f.to.Write(data)
		if n == len(data) && err == nil {
			f.wrote = append(f.wrote, data)
		}
		f.saw(err)
		return err
	}
	f.saw(b.Settle(t.Context()))
	return nil
}

func (f *function) saw(err error) {
	if errors.Is(err, errFull) || err != nil && err.Error() == errFull.Error() {
		f.told = append(f.told, len(f.wrote))
	}
}

// check says whether all was written but what failed and what was written after that, until the function was told.
func (f *function) check(t *rapid.T, l *line) {
	if len(l.failed) != len(f.told) {
		t.Fatalf("%d writes have failed, the function was told of %d", len(l.failed), len(f.told))
	}
	written, failed, told := l.written, l.failed, f.told
	for i := 0; i < len(f.wrote); i++ {
		switch {
		case len(failed) > 0 && bytes.Equal(failed[0], f.wrote[i]) && (len(written) == 0 || !bytes.Equal(written[0], f.wrote[i])):
			i = told[0] - 1
			failed, told = failed[1:], told[1:]
		case len(written) > 0 && bytes.Equal(written[0], f.wrote[i]):
			written = written[1:]
		default:
			t.Fatalf("write %d of %d is missing", i, len(f.wrote))
		}
	}
	if len(written) > 0 {
		t.Errorf("%d writes too many", len(written))
	}
}

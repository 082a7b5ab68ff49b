package lend

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// memory is a file in memory. It counts on nobody else using its offset, as a file does not.
type memory struct {
	mu     sync.Mutex
	data   []byte
	offset int64
	closed bool
	most   int // that a Read returns
}

var errClosed = errors.New("memory is closed")

func (m *memory) Read(b []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.readLocked(b[:min(len(b), m.most)], m.offset)
	m.offset += int64(n)
	return n, err
}

func (m *memory) readLocked(b []byte, off int64) (int, error) {
	switch {
	case m.closed:
		return 0, errClosed
	case off < 0:
		return 0, errors.New("negative offset")
	case off >= int64(len(m.data)) && len(b) > 0:
		return 0, io.EOF
	}
	return copy(b, m.data[min(off, int64(len(m.data))):]), nil
}

func (m *memory) Write(b []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.writeLocked(b, m.offset)
	m.offset += int64(n)
	return n, err
}

func (m *memory) writeLocked(b []byte, off int64) (int, error) {
	switch {
	case m.closed:
		return 0, errClosed
	case off < 0 || off > 1<<30:
		return 0, errors.New("no such offset")
	}
	if end := int(off) + len(b); end > len(m.data) {
		m.data = append(m.data, make([]byte, end-len(m.data))...)
	}
	return copy(m.data[off:], b), nil
}

func (m *memory) Seek(off int64, whence int) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	off += map[int]int64{io.SeekCurrent: m.offset, io.SeekEnd: int64(len(m.data))}[whence]
	switch {
	case m.closed:
		return 0, errClosed
	case off < 0:
		return 0, errors.New("before the begin")
	}
	m.offset = off
	return off, nil
}

func (m *memory) ReadAt(b []byte, off int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.readLocked(b, off)
	if n < len(b) && err == nil {
		err = io.EOF
	}
	return n, err
}

func (m *memory) WriteAt(b []byte, off int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.writeLocked(b, off)
}

func (m *memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return errClosed
	}
	m.closed = true
	return nil
}

// device is all that a function can do.
type device interface {
	io.ReadWriteSeeker
	io.ReaderAt
	io.WriterAt
	io.Closer
}

// step is one thing that a function does.
type step struct {
	what      string
	n, whence int
	off       int64
}

func steps(t *rapid.T) []step {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		return step{
			what: rapid.SampledFrom([]string{"read", "read", "read", "write", "write", "seek", "readAt", "writeAt", "settle", "close"}).Draw(t, "what"),
			n:    rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(0, 300<<10)).Draw(t, "n"),
			off:  rapid.OneOf(rapid.Int64Range(-100, 100), rapid.Int64Range(-100, 600<<10)).Draw(t, "off"), whence: rapid.IntRange(0, 2).Draw(t, "whence"),
		}
	}), 1, 30).Draw(t, "steps")
}

// take does a step with a device and returns what is seen of it.
func (s step) take(on device, fill byte, settle func() error) string {
	b := bytes.Repeat([]byte{fill}, s.n)
	switch s.what {
	case "read":
		n, err := io.ReadFull(on, b)
		return fmt.Sprint(n, err, hash(b[:n]))
	case "write":
		n, err := on.Write(b)
		return fmt.Sprint(n, err)
	case "seek":
		off, err := on.Seek(s.off, s.whence)
		return fmt.Sprint(off, err)
	case "readAt":
		n, err := on.ReadAt(b, s.off)
		return fmt.Sprint(n, err, hash(b[:n]))
	case "writeAt":
		n, err := on.WriteAt(b, s.off)
		return fmt.Sprint(n, err)
	case "close":
		return fmt.Sprint(on.Close())
	}
	return fmt.Sprint(settle())
}

func hash(b []byte) (sum uint64) {
	for _, x := range b {
		sum = sum*1099511628211 + uint64(x)
	}
	return sum
}

// TestF12_WhatAFunctionDoesWithAFileIsWhatItWouldDoHere takes the same steps with a file and with what stands in for one.
func TestF12_WhatAFunctionDoesWithAFileIsWhatItWouldDoHere(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		size, most := rapid.IntRange(0, 700<<10).Draw(rt, "size"), rapid.SampledFrom([]int{1000, 40000, 1 << 20}).Draw(rt, "most")
		content := make([]byte, size)
		for i := range content {
			content[i] = byte(i * i >> 8)
		}
		here, lentOne := &memory{data: bytes.Clone(content), most: most}, &memory{data: content, most: most}
		d, b, w := call(t)
		d.Bind(w.send)
		there := []device{cross[device](t, d, b, lentOne), struct {
			io.ReadWriteSeeker
			io.ReaderAt
			io.WriterAt
			io.Closer
		}{cross[io.ReadWriteSeeker](t, d, b, lentOne), cross[io.ReaderAt](t, d, b, lentOne), cross[io.WriterAt](t, d, b, lentOne), cross[io.Closer](t, d, b, lentOne)}}
		settle := func() error { return b.Settle(t.Context()) }
		for i, s := range steps(rt) {
			if here.closed && s.what == "write" {
				continue // that fails later
			}
			want := s.take(here, byte(i), func() error { return nil })
			if got := s.take(there[i%2], byte(i), settle); got != want {
				rt.Fatalf("step %d, %+v: %s instead of %s", i, s, got, want)
			}
		}
		if err := settle(); err != nil {
			rt.Error(err)
		}
		b.End()
		d.Close()
		d.Wait(t.Context())
		if err := d.Owner.(*office).failed(); err != nil {
			rt.Error(err)
		}
		if !bytes.Equal(here.data, lentOne.data) || here.offset != lentOne.offset && !here.closed {
			rt.Errorf("at %d of %d instead of %d of %d", lentOne.offset, len(lentOne.data), here.offset, len(here.data))
		}
	})
}

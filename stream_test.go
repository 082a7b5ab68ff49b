//go:build linux

package flame_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fleetinglambda/flame"
)

// tidy notes how many goroutines and descriptors there are, and waits at the end of the test for as many. The pool
// must have a runner by then.
func tidy(t *testing.T, p *flame.Pool) {
	t.Helper()
	pid(t, p)
	goroutines, open := runtime.NumGoroutine(), descriptors(t)+1 // a session has one more once a write had to wait
	t.Cleanup(func() {
		settle(t, func() bool { return runtime.NumGoroutine() <= goroutines && descriptors(t) <= open }, func() string {
			stacks := make([]byte, 1<<20)
			return fmt.Sprintf("%d goroutines instead of %d, %d descriptors instead of %d\n%s",
				runtime.NumGoroutine(), goroutines, descriptors(t), open, stacks[:runtime.Stack(stacks, true)])
		})
	})
}

// created makes a file with a content, open for reading and writing.
func created(t *testing.T, content string) *os.File {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(t.TempDir(), "file"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := io.WriteString(f, content); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	return f
}

// views are what one file may be held as.
type views struct {
	r     io.Reader
	w     io.Writer
	c     io.Closer
	s     io.Seeker
	rc    io.ReadCloser
	rw    io.ReadWriter
	rws   io.ReadWriteSeeker
	ra    io.ReaderAt
	wa    io.WriterAt
	file  multipart.File
	own   interface{ Close() error }
	named []io.WriteCloser
}

func TestF12_WhatStandsInHasTheMethodsOfItsVariableAndNoMore(t *testing.T) {
	p, _ := open(t, flame.Config{})
	f := created(t, "")
	v := views{f, f, f, f, f, f, f, f, f, f, f, []io.WriteCloser{f}}
	got, err := flame.Call(t.Context(), p, func(context.Context) (string, error) {
		var said []string
		for _, x := range []any{v.r, v.w, v.c, v.s, v.rc, v.rw, v.rws, v.ra, v.wa, v.file, v.own, v.named[0]} {
			var methods []string
			for i := range reflect.TypeOf(x).NumMethod() {
				methods = append(methods, reflect.TypeOf(x).Method(i).Name)
			}
			said = append(said, strings.Join(methods, " "))
		}
		_, closes := v.r.(io.Closer)
		return fmt.Sprint(strings.Join(said, ", "), closes), nil
	})
	want := "Read, Write, Close, Seek, Close Read, Read Write, Read Seek Write, ReadAt, WriteAt, Close Read ReadAt Seek, Close, Close Writefalse"
	if err != nil || got != want {
		t.Errorf("%q, %v", got, err)
	}
}

func TestF12_AFileIsReadWrittenAndSoughtFromTheRunner(t *testing.T) {
	p, _ := open(t, flame.Config{})
	tidy(t, p)
	f := created(t, strings.Repeat("0123456789", 100_000))
	v := views{r: f, s: f, rws: f, ra: f, wa: f}
	got, err := flame.Call(t.Context(), p, func(context.Context) (string, error) {
		five := make([]byte, 5)
		_, err1 := io.ReadFull(v.r, five)
		at, err2 := v.s.Seek(2, io.SeekCurrent)
		_, err3 := v.rws.Write([]byte("XY"))
		_, err4 := v.wa.WriteAt([]byte("Z"), 9)
		three := make([]byte, 3)
		_, err5 := io.ReadFull(v.r, three)
		end := make([]byte, 3)
		n, err6 := v.ra.ReadAt(end, 1e6-2)
		return fmt.Sprintf("%s %d %s %s %v", five, at, three, end[:n], err6), errors.Join(err1, err2, err3, err4, err5)
	})
	if err != nil || got != "01234 7 Z01 89 EOF" {
		t.Errorf("%q, %v", got, err)
	}
	if at, err := f.Seek(0, io.SeekCurrent); at != 12 || err != nil {
		t.Errorf("the function has read to 12 and the file is at %d, %v", at, err)
	}
	if b, err := os.ReadFile(f.Name()); err != nil || string(b[:12]) != "0123456XYZ01" {
		t.Errorf("%q, %v", b[:12], err)
	}
}

func TestF12_AWriterOpenedHereIsWrittenThere(t *testing.T) {
	p, _ := open(t, flame.Config{})
	tidy(t, p)
	for _, size := range []int{0, 1, 1000, 60 << 10, 256 << 10, 3<<20 + 7} {
		f := created(t, "")
		out := struct{ io.Writer }{f}
		err := flame.Run(t.Context(), p, func(context.Context) error {
			n, err := out.Write(bytes.Repeat([]byte("x"), size))
			if n != size {
				return fmt.Errorf("written %d, %w", n, err)
			}
			return err
		})
		b, _ := os.ReadFile(f.Name())
		if err != nil || len(b) != size || strings.Count(string(b), "x") != size {
			t.Errorf("%d bytes of %d, %v", len(b), size, err)
		}
	}
}

// errDisk is of this program, so that both sides know it.
var errDisk = errors.New("the disk is full")

// small takes so many bytes.
type small struct{ left int }

func (s *small) Write(b []byte) (int, error) {
	n := min(s.left, len(b))
	if s.left -= n; n < len(b) {
		return n, fmt.Errorf("write: %w", errDisk)
	}
	return n, nil
}

func TestF12_TheErrorOfAWriteIsTheFunctionsOrTheCalls(t *testing.T) {
	p, _ := open(t, flame.Config{})
	tidy(t, p)
	out := struct{ io.Writer }{&small{left: 10}}
	err := flame.Run(t.Context(), p, func(context.Context) error {
		_, err := io.WriteString(out, "more than ten bytes")
		return err
	})
	if !errors.Is(err, errDisk) {
		t.Errorf("nobody has seen it, and the call says %v", err)
	}
	got, err := flame.Call(t.Context(), p, func(context.Context) (bool, error) {
		for {
			if _, err := io.WriteString(out, "again"); err != nil {
				return errors.Is(err, errDisk), nil
			}
		}
	})
	if !got || err != nil {
		t.Errorf("the function has seen it: %v, %v", got, err)
	}
}

// endless counts what is read of it.
type endless struct{ read atomic.Int64 }

func (e *endless) Read(b []byte) (int, error) {
	e.read.Add(int64(len(b)))
	return len(b), nil
}

func TestF12_ASlowFunctionHoldsUpItsReader(t *testing.T) {
	p, _ := open(t, flame.Config{})
	tidy(t, p)
	n, from := listen(t), new(endless)
	addr, in := n.addr, struct{ io.Reader }{from}
	task := flame.Start(t.Context(), p, func(context.Context) (int, error) {
		m, err := io.ReadFull(in, make([]byte, 100_000))
		return m, errors.Join(err, hold(addr))
	})
	if said := n.next(t); said != "begun" {
		t.Fatal(said)
	}
	settle(t, func() bool { return from.read.Load() >= 200<<10 }, func() string { return fmt.Sprint(from.read.Load()) })
	runtime.Gosched()
	if ahead := from.read.Load() - 100_000; ahead > 256<<10 {
		t.Errorf("%d bytes were read ahead", ahead)
	}
	n.release()
	if _, err := task.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestF12_OddReadersAreErrorsOfTheFunctionAndTheParentLives(t *testing.T) {
	p, _ := open(t, flame.Config{})
	tidy(t, p)
	for want, r := range map[string]func([]byte) (int, error){
		"panicked: torn tape":       func([]byte) (int, error) { panic("torn tape") },
		"a count of -1 for":         func([]byte) (int, error) { return -1, nil },
		"a count of 100000000 for":  func([]byte) (int, error) { return 100_000_000, nil },
		io.ErrNoProgress.Error():    func([]byte) (int, error) { return 0, nil },
		"broken pipe of the reader": func([]byte) (int, error) { return 0, errors.New("broken pipe of the reader") },
	} {
		in := struct{ io.Reader }{reader(r)}
		err := flame.Run(t.Context(), p, func(context.Context) error {
			_, err := in.Read(make([]byte, 10))
			return err
		})
		var remote *flame.RemoteError
		if !errors.As(err, &remote) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

type reader func([]byte) (int, error)

func (r reader) Read(b []byte) (int, error) { return r(b) }

func TestF12_ATeeOnTheParentSeesWhatTheFunctionReads(t *testing.T) {
	p, _ := open(t, flame.Config{})
	h, data := sha256.New(), bytes.Repeat([]byte("tee"), 200_000)
	in := struct{ io.Reader }{io.TeeReader(bytes.NewReader(data), h)}
	n, err := flame.Call(t.Context(), p, func(context.Context) (int64, error) { return io.Copy(io.Discard, in) })
	if want := sha256.Sum256(data); err != nil || n != int64(len(data)) || !bytes.Equal(h.Sum(nil), want[:]) {
		t.Errorf("%d, %v", n, err)
	}
}

// TestF12_AnAnswerIsWrittenOnTheRunner has a function answer a request that a handler has got.
func TestF12_AnAnswerIsWrittenOnTheRunner(t *testing.T) {
	p, _ := open(t, flame.Config{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := struct{ io.Writer }{w}
		if err := flame.Run(r.Context(), p, func(context.Context) error {
			b, err := io.ReadAll(r.Body)
			if err == nil {
				_, err = out.Write(bytes.ToUpper(b))
			}
			return err
		}); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	want := bytes.Repeat([]byte("echo "), 100_000)
	answer, err := http.Post(server.URL, "text/plain", io.MultiReader(bytes.NewReader(want)))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if got, err := io.ReadAll(answer.Body); err != nil || !bytes.Equal(got, bytes.ToUpper(want)) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestF12_AConnectionIsAskedAndAnswersWhileItIsRead(t *testing.T) {
	p, _ := open(t, flame.Config{})
	tidy(t, p)
	here, there := net.Pipe()
	defer here.Close()
	conn := struct{ io.ReadWriteCloser }{here}
	calls := flame.Start(t.Context(), p, func(context.Context) (string, error) {
		var said []string
		for i := range 10 {
			fmt.Fprintf(conn, "%d", i)
			b := make([]byte, 100)
			n, err := conn.Read(b)
			if err != nil {
				return "", err
			}
			said = append(said, string(b[:n]))
		}
		return strings.Join(said, " "), errors.Join(conn.Close(), conn.Close())
	})
	for i := range 10 {
		b := make([]byte, 10)
		if n, err := there.Read(b); err != nil || string(b[:n]) != fmt.Sprint(i) {
			t.Fatalf("%q, %v", b[:n], err)
		}
		fmt.Fprintf(there, "<%d>", i)
	}
	got, err := calls.Wait(t.Context())
	if err != nil || got != "<0> <1> <2> <3> <4> <5> <6> <7> <8> <9>" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := here.Read(nil); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

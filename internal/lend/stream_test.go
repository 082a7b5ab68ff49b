package lend

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
)

// everything has all methods of streams, and more.
type everything struct{ *os.File }

// openFile opens a file with a content for reading and writing.
func openFile(t *testing.T, content string) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.WriteString(content); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestF12_WhatStandsInHasTheMethodsOfItsVariable makes an interface of each combination of methods.
func TestF12_WhatStandsInHasTheMethodsOfItsVariable(t *testing.T) {
	d, b, _ := call(t)
	f := everything{openFile(t, "")}
	methods := []string{"Read", "Write", "Seek", "Close", "ReadAt", "WriteAt"}
	for want := range 1 << len(methods) {
		made := shaped[want]
		if (made == nil) != (want == 0) {
			t.Errorf("shape %b", want)
		}
		if want == 0 {
			continue
		}
		ref, err := d.Lend(f, reflect.TypeFor[io.Reader]())
		if err != nil {
			t.Fatal(err)
		}
		borrowedThing, err := b.Borrow(ref, reflect.TypeFor[io.Reader]())
		if err != nil {
			t.Fatal(err)
		}
		got := reflect.TypeOf(made(borrowedThing.(lentRead).s))
		has := 0
		for i, m := range methods {
			if _, ok := got.MethodByName(m); ok {
				has |= 1 << i
			}
		}
		if has != want || got.NumMethod() != strings.Count(fmt.Sprintf("%b", want), "1") {
			t.Errorf("%v has %d methods, %b instead of %b", got, got.NumMethod(), has, want)
		}
	}
	if len(d.things) != 1 {
		t.Errorf("one file was lent %d times", len(d.things))
	}
}

func TestF12_AFileIsReadWrittenAndSoughtAsIfItWereHere(t *testing.T) {
	d, b, w := call(t)
	d.Bind(w.send)
	f := openFile(t, "0123456789")
	r, s := cross[io.Reader](t, d, b, f), cross[io.Seeker](t, d, b, f)
	wr, at := cross[io.Writer](t, d, b, f), cross[io.ReaderAt](t, d, b, f)
	three := make([]byte, 3)
	if _, err := io.ReadFull(r, three); err != nil || string(three) != "012" {
		t.Errorf("%q, %v", three, err)
	}
	if pos, err := s.Seek(1, io.SeekCurrent); pos != 4 || err != nil {
		t.Errorf("at %d, %v", pos, err)
	}
	if n, err := io.WriteString(wr, "xy"); n != 2 || err != nil {
		t.Error(n, err)
	}
	if _, err := io.ReadFull(r, three); err != nil || string(three) != "678" {
		t.Errorf("%q, %v", three, err)
	}
	if n, err := at.ReadAt(three, 8); n != 2 || err != io.EOF || string(three[:2]) != "89" {
		t.Errorf("%q, %v", three[:n], err)
	}
	if _, err := s.Seek(-20, io.SeekCurrent); err == nil || !strings.Contains(err.Error(), "invalid argument") {
		t.Error(err)
	}
	if err := b.Settle(t.Context()); err != nil {
		t.Error(err)
	}
	d.Close()
	d.Wait(t.Context())
	if pos, err := f.Seek(0, io.SeekCurrent); pos != 9 || err != nil {
		t.Errorf("the function has read to 9, and the file is at %d, %v", pos, err)
	}
	if all, err := os.ReadFile(f.Name()); string(all) != "0123xy6789" {
		t.Errorf("%q, %v", all, err)
	}
}

var errFull = errors.New("no space")

// full takes so many bytes.
type full struct {
	room int
	got  bytes.Buffer
}

func (f *full) Write(b []byte) (int, error) {
	n := min(len(b), f.room)
	f.room -= n
	f.got.Write(b[:n])
	if n < len(b) {
		return n, errFull
	}
	return n, nil
}

func (f *full) Close() error { return errors.New("closed badly") }

func TestF12_AWritesErrorComesLaterButComes(t *testing.T) {
	for name, see := range map[string]func(w io.WriteCloser, b *Borrower) error{
		"Write": func(w io.WriteCloser, _ *Borrower) error {
			synctest.Wait()
			n, err := w.Write([]byte("late"))
			return errors.Join(err, map[bool]error{true: errors.New("it was written")}[n > 0])
		},
		"Close":  func(w io.WriteCloser, _ *Borrower) error { return w.Close() },
		"Settle": func(_ io.WriteCloser, b *Borrower) error { return b.Settle(t.Context()) },
	} {
		synctest.Test(t, func(t *testing.T) {
			d, b, w := call(t)
			d.Bind(w.send)
			to := &full{room: 4}
			out := cross[io.WriteCloser](t, d, b, to)
			for range 3 {
				if n, err := out.Write([]byte("abc")); n != 3 || err != nil {
					t.Errorf("%s: %d, %v", name, n, err)
				}
			}
			if err := see(out, b); err == nil || !strings.Contains(err.Error(), errFull.Error()) || strings.Contains(err.Error(), "it was") {
				t.Errorf("%s: %v", name, err)
			}
			to.room = 10
			if n, err := out.Write([]byte("more")); n != 4 || err != nil {
				t.Errorf("%s: after the error %d, %v", name, n, err)
			}
			if err := b.Settle(t.Context()); err != nil || to.got.String() != "abcamore" {
				t.Errorf("%s: written %q, %v", name, to.got.String(), err)
			}
		})
	}
}

package lend

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// seeds are notes of every kind about the things numbered 0 to 2.
func seeds(f *testing.F) {
	args := [][]byte{nil, {1}, {1, 0}, {1, 2, 3, 4}, {2, 1, 0, 1, 1}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 7}}
	for o := asked; o <= answered; o++ {
		for i, a := range args {
			f.Add(note(uint64(i)%3, o, a...), note(2-uint64(i)%3, o+1, a...), i)
		}
	}
	for v := aFlush; v <= aWriteAt; v++ {
		f.Add(append(packRequest(nil, 0, v, 1, 0), 2, 2), append(packRequest(nil, 1, v, 1, 0), 0xff, 1), int(v))
		f.Add(packRequest(nil, 2, v, 1, 9), packAnswer(2, uint64(v), reply{number: 3, data: []byte("abc"), err: packError(io.EOF)}), int(v))
	}
}

// FuzzNotesOfARunner: what a runner says of streams may be any bytes, and any number of them.
func FuzzNotesOfARunner(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, first, second []byte, times int) {
		d, b, w := call(t)
		d.Bind(w.send)
		cross[device](t, d, b, &memory{data: make([]byte, 1<<10), most: 1000})
		cross[io.ReadWriter](t, d, b, &line{reads: []lineRead{{1000, io.EOF}}})
		cross[io.Reader](t, d, b, strings.NewReader("text"))
		for range times % 1000 {
			d.Noted(first)
			d.Noted(second)
		}
		for _, s := range d.streams {
			s.mu.Lock()
			if s.waiting > window+maxRequests*(room+writeCost)+maxNote || len(s.todo) > (window+maxRequests*room)/writeCost || s.running > maxRequests+2 {
				t.Errorf("%d bytes in %d operations wait, %d goroutines", s.waiting, len(s.todo), s.running)
			}
			s.mu.Unlock()
		}
		d.Close()
		d.using.Wait() // or a goroutine is left
	})
}

// FuzzNotesOfAParent: what a parent says is believed, but does no harm.
func FuzzNotesOfAParent(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, first, second []byte, times int) {
		d, b, _ := call(t)
		on := cross[device](t, d, b, &memory{data: bytes.Repeat([]byte("x"), 100), most: 10})
		s := b.things[0].value.(*borrowedStream)
		for range times % 1000 {
			b.heed(first)
			b.heed(second)
		}
		s.mu.Lock()
		s.begun = true
		s.mu.Unlock()
		for range times % 1000 {
			b.heed(first)
			b.heed(second)
		}
		if s.unread > window {
			t.Errorf("%d bytes were taken ahead", s.unread)
		}
		b.End()
		if _, err := on.Read(make([]byte, 1)); err == nil {
			t.Error("it is read after the call")
		}
	})
}

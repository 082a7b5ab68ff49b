package lend

import (
	"sync"
	"testing"
	"testing/synctest"
)

// slowWire keeps what is sent to the runner until it is let through.
type slowWire struct {
	mu    sync.Mutex
	notes [][]byte
	bytes int // in them
}

func (w *slowWire) send(n []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notes, w.bytes = append(w.notes, n), w.bytes+len(n)
}

// take takes out what waits.
func (w *slowWire) take() (notes [][]byte, bytes int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	notes, bytes = w.notes, w.bytes
	w.notes, w.bytes = nil, 0
	return notes, bytes
}

// TestN02_WhatAFunctionReceivesIsBoundedInBytes: a channel's capacity alone would let all of it on its way at once.
func TestN02_WhatAFunctionReceivesIsBoundedInBytes(t *testing.T) {
	for name, c := range map[string]struct{ n, size, most int }{
		"small":             {5000, 1000, passing},
		"as large as it is": {40, passing / 8, passing},
		"a quarter":         {40, little, passing},
		"large":             {20, 3 * passing, 3*passing + little},
		"none":              {100, 0, passing},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, b, w := passed(t)
				d.Limit = 4 * passing
				slow := new(slowWire)
				d.Bind(slow.send)
				down := make(chan []byte, c.n)
				in := cross[<-chan []byte](t, d, b, down)
				for i := range c.n {
					element := make([]byte, c.size)
					if c.size > 0 {
						element[0] = byte(i)
					}
					down <- element
				}
				close(down)
				largest := 0
				for {
					synctest.Wait()
					notes, bytes := slow.take()
					if largest = max(largest, bytes); len(notes) == 0 {
						break
					}
					for _, n := range notes {
						w.send(n)
					}
				}
				got := 0
				for element := range in {
					if len(element) != c.size || c.size > 0 && element[0] != byte(got) {
						t.Fatalf("element %d has %d bytes and begins with %d", got, len(element), element[0])
					}
					got++
				}
				if got != c.n || largest > c.most+c.most/10 {
					t.Errorf("%d elements came, with up to %d bytes on the way", got, largest)
				}
			})
		})
	}
}

func TestN02_ElementsWithoutBytesPass(t *testing.T) {
	d, b, w := passed(t)
	d.Bind(w.send)
	down := make(chan struct{}, 1)
	in := cross[<-chan struct{}](t, d, b, down)
	for range 10 {
		down <- struct{}{}
		<-in
	}
	close(down)
	if _, open := <-in; open {
		t.Error("it was closed")
	}
}

//go:build linux

package flame_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend/process"
)

// wire is what stands between the parent of these tests and its runners: it counts bytes, and it can break.
type wire struct {
	dialling
	listens string // the parent, and where runners get to who dial the wire
	door    net.Listener

	mu      sync.Mutex
	pairs   map[*pair]bool
	made    int // pairs that ever were
	closed  bool
	holding bool          // nothing gets through, and nobody is told
	pace    int           // bytes a second, each way; 0: as fast as it can
	left    [2]int        // bytes to the parent, and to the runner, until the next cut; negative: no cut
	moved   chan struct{} // closed when holding changes
	kept    *bytes.Buffer // all that came; nil: nothing is kept
	passed  [2]int        // bytes each way since cutAfter
	cuts    int           // every other one is a reset
}

// pair is one connection through the wire.
type pair struct{ runner, parent net.Conn }

func (p *pair) close() {
	p.runner.Close()
	p.parent.Close()
}

// reset has the end of its connections be a reset.
func (p *pair) reset() {
	_ = p.runner.(*net.TCPConn).SetLinger(0)
	_ = p.parent.(*net.TCPConn).SetLinger(0)
}

// keep has the wire keep all that comes from now on.
func (w *wire) keep() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept = new(bytes.Buffer)
}

// havePassed returns how many bytes have gone one way since cutAfter.
func (w *wire) havePassed(way int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.passed[way]
}

// wired opens a pool of processes behind a wire.
func wired(t *testing.T, c flame.Config) (*flame.Pool, *wire, *recorder) {
	t.Helper()
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{
		dialling: dialling{process.New(process.Options{Output: t.Output()})}, door: door,
		listens: fmt.Sprintf("127.0.0.2:%d", door.Addr().(*net.TCPAddr).Port), // the same port elsewhere, so that it is free
		pairs:   make(map[*pair]bool), left: [2]int{-1, -1}, moved: make(chan struct{}),
	}
	var all sync.WaitGroup
	all.Go(func() { w.accept(&all) })
	t.Cleanup(func() {
		door.Close()
		w.hold(false)
		w.cut()
		all.Wait()
	})
	c.Backend = w
	p, r := open(t, c)
	return p, w, r
}

func (w *wire) Address(context.Context) (listen, dial string, err error) {
	return w.listens, w.door.Addr().String(), nil
}

func (w *wire) accept(all *sync.WaitGroup) {
	for {
		c, err := w.door.Accept()
		if err != nil {
			return
		}
		p := &pair{runner: c}
		if p.parent, err = net.Dial("tcp", w.listens); err != nil || !w.add(p) {
			c.Close()
			continue
		}
		all.Go(func() { w.carry(p, p.parent, p.runner, 0) })
		all.Go(func() { w.carry(p, p.runner, p.parent, 1) })
	}
}

func (w *wire) add(p *pair) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		p.parent.Close()
		return false
	}
	w.pairs[p] = true
	w.made++
	return true
}

func (w *wire) carry(p *pair, to, from net.Conn, way int) {
	defer func() {
		p.close()
		w.mu.Lock()
		delete(w.pairs, p)
		w.mu.Unlock()
	}()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		w.awaitRelease()
		n, cut := w.count(buf[:n], way)
		if _, failed := to.Write(buf[:n]); failed != nil || err != nil || cut {
			return
		}
		w.delay(n)
	}
}

// slow has the wire carry only so many bytes a second from now on.
func (w *wire) slow(pace int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pace = pace
}

func (w *wire) delay(n int) {
	w.mu.Lock()
	pace := w.pace
	w.mu.Unlock()
	if pace > 0 {
		<-time.After(time.Duration(n) * time.Second / time.Duration(pace))
	}
}

// count returns how many bytes may pass, and whether the connection is to be cut behind them.
func (w *wire) count(b []byte, way int) (passes int, cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.kept != nil {
		w.kept.Write(b)
	}
	passes = len(b)
	if left := w.left[way]; left >= 0 {
		passes = min(passes, left)
		w.left[way] -= passes
		cut = passes == left
	}
	w.passed[way] += passes
	if cut {
		w.left[way] = -1
		if w.cuts++; w.cuts%2 == 0 {
			for p := range w.pairs {
				p.reset()
			}
		}
	}
	return passes, cut
}

// cutAfter has the wire break when so many more bytes have gone one way: 0 to the parent, 1 to the runner. A negative number has it not
// break any more.
func (w *wire) cutAfter(n, way int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.passed = [2]int{}
	w.left = [2]int{-1, -1}
	w.left[way] = n
}

// hold says whether everything stops, as in a network that has lost its way.
func (w *wire) hold(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.holding && !on {
		close(w.moved)
		w.moved = make(chan struct{})
	}
	if w.holding = on; !on {
		w.pace = 0
	}
}

func (w *wire) awaitRelease() {
	for {
		w.mu.Lock()
		holding, moved := w.holding, w.moved
		w.mu.Unlock()
		if !holding {
			return
		}
		<-moved
	}
}

// cut breaks every connection.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for p := range w.pairs {
		p.close()
	}
}

// shut breaks every connection and lets nobody in any more, or does so again.
func (w *wire) shut(is bool) {
	w.mu.Lock()
	w.closed = is
	w.mu.Unlock()
	if is {
		w.cut()
	}
}

// connections is how many there have been.
func (w *wire) connections() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.made
}

package lend

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"sync"

	"github.com/fleetinglambda/flame/internal/codec"
)

// proxy stands in for a channel of the parent: a channel of the same capacity, and a goroutine that passes on between the
// two.
type proxy struct {
	link   Link
	number uint64
	limit  int64 // of an element's bytes
	ch     reflect.Value
	wg     sync.WaitGroup // the goroutine

	flush chan struct{} // one token: somebody waits in settle
	over  chan struct{} // closed when nothing is passed on any more
	ends  chan struct{} // closed when the function is over

	mu      sync.Mutex // guards what follows
	changed sync.Cond  // something has
	ended   bool       // over is closed
	granted uint64     // elements that may be sent, or were asked for, in all
	passed  uint64     // elements that were; or that the function's channel has got
	had     uint64     // elements that the parent's channel has taken
	sizes   []int      // of those that were sent and that it has not
	bytes   int        // in all; or of elements that the function's channel has got and the parent was not told of
	asked   uint64     // how often somebody waited in settle
	flushed uint64     // up to which of these all was sent that the function had sent by then
	shut    bool       // the function has closed its channel, or an element could not be sent
	err     error      // why an element could not be sent
	joining joiner
	queue   [][]byte // elements that have come
	closed  bool     // by the parent, behind the queue
}

// proxy makes what both directions have in common.
func (b *Borrower) proxy(number, size uint64, as reflect.Type) (*proxy, error) {
	if as.Kind() != reflect.Chan || size > 1<<31 {
		return nil, errNote
	}
	p := &proxy{
		link: b.Link, number: number, limit: b.Limit, flush: make(chan struct{}, 1), over: make(chan struct{}), ends: make(chan struct{}),
		ch: reflect.MakeChan(reflect.ChanOf(reflect.BothDir, as.Elem()), int(size)),
	}
	p.changed.L = &p.mu
	return p, nil
}

// sender stands in for a channel that the function sends to.
func (b *Borrower) sender(number uint64, details []byte, as reflect.Type) (t borrowed, err error) {
	c := cutter{b: details, ok: true}
	size, granted := c.uint(), c.uint()
	p, err := b.proxy(number, size, as)
	if err != nil || !c.ok {
		return t, errNote
	}
	p.granted = granted
	p.wg.Go(p.forward)
	stop := context.AfterFunc(b.Link.Context(), p.end)
	return borrowed{value: p.ch.Convert(as).Interface(), heed: p.heedTaken, settle: p.settle, end: sync.OnceFunc(func() {
		stop()
		p.end()
		close(p.ends)
		p.wg.Wait()
		b.Leftovers.add(p.ch)
	})}, nil
}

// receiver stands in for a channel that the function receives from.
func (b *Borrower) receiver(number uint64, details []byte, as reflect.Type) (t borrowed, err error) {
	c := cutter{b: details, ok: true}
	size := c.uint()
	p, err := b.proxy(number, size, as)
	if err != nil || !c.ok {
		return t, errNote
	}
	p.mu.Lock()
	p.askLocked()
	p.mu.Unlock()
	p.wg.Go(p.feed)
	stop := context.AfterFunc(b.Link.Context(), p.end)
	return borrowed{value: p.ch.Convert(as).Interface(), heed: p.heedCome, end: func() {
		stop()
		p.end()
		p.wg.Wait()
	}}, nil
}

// end has nothing passed on any more: what the function sends from now on is dropped, and what it receives from is closed.
func (p *proxy) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		p.ended = true
		close(p.over)
		p.changed.Broadcast()
	}
}

// heedTaken learns how much the parent's channel has taken.
func (p *proxy) heedTaken(o op, payload []byte) {
	if o == gone {
		p.end()
		return
	}
	c := cutter{b: payload, ok: true}
	granted, had := c.uint(), c.uint()
	p.mu.Lock()
	defer p.mu.Unlock()
	if o != took || !c.ok || granted < p.granted || had < p.had || had > p.passed {
		return
	}
	for ; p.had < had; p.had++ {
		p.bytes -= p.sizes[0]
		p.sizes = p.sizes[1:]
	}
	p.granted = granted
	p.changed.Broadcast()
}

// forward sends what the function sends, in order, as far as the parent lets it.
func (p *proxy) forward() {
	for p.mayPass(0) {
		v, open, more := p.take()
		switch {
		case !more:
			p.discard()
			return
		case !open:
			p.passes(0)
			p.link.Note(note(p.number, closing))
			p.finish(nil)
			return
		}
		in := reflect.New(v.Type())
		in.Elem().Set(v)
		msg, err := codec.Encode(in.Interface(), codec.Options{Limit: p.limit, Result: true, Snapshot: true})
		if err != nil {
			p.finish(fmt.Errorf("send an element to a %v: %w", p.ch.Type(), err))
			break
		}
		size := int(msg.Size())
		if !p.mayPass(size) {
			break
		}
		p.passes(size)
		pieces(p.number, msg, func(n []byte) { p.link.Note(n) })
	}
	p.discard()
}

// passes notes that an element of so many bytes is sent, or that the channel was closed.
func (p *proxy) passes(size int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.passed++
	p.sizes, p.bytes = append(p.sizes, size), p.bytes+size
}

// mayPass waits until the parent takes an element of so many bytes; false means that nothing is passed on any more.
func (p *proxy) mayPass(size int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.ended && (p.passed == p.granted || p.bytes > 0 && p.bytes+size > passing) {
		p.changed.Wait()
	}
	return !p.ended
}

// take takes the next element out of the function's channel. open is false when that was closed, more is false when nothing is
// passed on any more.
func (p *proxy) take() (v reflect.Value, open, more bool) {
	for {
		p.mu.Lock()
		asked := p.asked
		p.mu.Unlock()
		if v, open := p.ch.TryRecv(); v.IsValid() {
			return v, open, true
		}
		p.empty(asked)
		chosen, v, open := reflect.Select([]reflect.SelectCase{
			{Dir: reflect.SelectRecv, Chan: p.ch},
			{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(p.flush)},
			{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(p.over)},
		})
		switch chosen {
		case 0:
			return v, open, true
		case 2:
			return v, false, false
		}
	}
}

// empty notes that all was sent that the function had sent when somebody waited for that for the asked-th time.
func (p *proxy) empty(asked uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flushed = asked
	p.changed.Broadcast()
}

// finish notes that nothing more is to come, or cannot.
func (p *proxy) finish(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut, p.err = true, err
	p.changed.Broadcast()
}

// discard takes out of the function's channel what nobody will get, until the function is over.
func (p *proxy) discard() {
	for {
		chosen, _, open := reflect.Select([]reflect.SelectCase{
			{Dir: reflect.SelectRecv, Chan: p.ch},
			{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(p.ends)},
		})
		if chosen == 1 || !open {
			return
		}
	}
}

// settle waits until the parent's channel has taken all that the function has sent so far, or nothing is passed on any more.
func (p *proxy) settle(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	mine := p.asked
	select {
	case p.flush <- struct{}{}:
	default: // there is one
	}
	for !p.ended && p.err == nil && !((p.shut || p.flushed >= mine) && p.passed == p.had) {
		p.changed.Wait()
	}
	return p.err
}

// askLocked asks for as many elements as there is room for, and one more, and tells what has come, when that is worth a note.
func (p *proxy) askLocked() {
	granted := p.passed + 1 + uint64(p.ch.Cap()-p.ch.Len())
	if p.granted == p.passed || granted-p.granted > uint64(p.ch.Cap())/4 || p.bytes > little {
		p.granted, p.bytes = granted, 0
		p.link.Note(binary.AppendUvarint(binary.AppendUvarint(appendNote(nil, p.number, took), granted), p.passed))
	}
}

// heedCome takes what the parent's channel had.
func (p *proxy) heedCome(o op, payload []byte) {
	if o == gone {
		p.end()
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch o {
	case element:
		if whole, last, _ := p.joining.add(payload, math.MaxInt64); last {
			p.queue = append(p.queue, whole)
		}
	case closing:
		p.closed = true
	}
	p.changed.Broadcast()
}

// feed gives the function what has come, and closes its channel behind the last.
func (p *proxy) feed() {
	defer p.ch.Close()
	for {
		data, ok := p.next()
		if !ok {
			return
		}
		v := reflect.New(p.ch.Type().Elem())
		if codec.Decode(data, v.Interface(), codec.Trusted) != nil { // the parent would have had to make it wrong
			return
		}
		chosen, _, _ := reflect.Select([]reflect.SelectCase{
			{Dir: reflect.SelectSend, Chan: p.ch, Send: v.Elem()},
			{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(p.over)},
		})
		if chosen == 1 {
			return
		}
		p.mu.Lock()
		p.passed, p.bytes = p.passed+1, p.bytes+len(data)
		p.askLocked()
		p.mu.Unlock()
	}
}

// next waits for an element; false means that there will be none.
func (p *proxy) next() ([]byte, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.queue) == 0 && !p.closed && !p.ended {
		p.changed.Wait()
	}
	if p.ended || len(p.queue) == 0 {
		return nil, false
	}
	data := p.queue[0]
	p.queue[0] = nil
	p.queue = p.queue[1:]
	return data, true
}

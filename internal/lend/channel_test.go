package lend

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/fleetinglambda/flame/internal/codec"
)

// passed makes both ends of a call whose elements may have a MiB.
func passed(t *testing.T) (*Desk, *Borrower, *wire) {
	t.Helper()
	d, b, w := call(t)
	d.Limit, b.Leftovers = 1<<20, new(Leftovers)
	t.Cleanup(b.Leftovers.End)
	return d, b, w
}

// traffic is what a function and its parent do with two channels, and when the call ends.
type traffic struct {
	size, sends, receives int
	closes                bool // the function closes its channel
	offers, takes         int
	shuts                 bool // the parent closes its channel
	cancelled             int  // after so many elements that the parent has received; -1: not
}

// TestN02_AnyTrafficKeepsTheRules holds random sends, receives, closes and ends to what a channel promises.
func TestN02_AnyTrafficKeepsTheRules(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		x := traffic{
			size: rapid.IntRange(0, 4).Draw(rt, "capacity"), sends: rapid.IntRange(0, 30).Draw(rt, "sends"),
			closes: rapid.Bool().Draw(rt, "closes"), receives: rapid.IntRange(0, 30).Draw(rt, "receives"),
			offers: rapid.IntRange(0, 30).Draw(rt, "offers"), shuts: rapid.Bool().Draw(rt, "shuts"),
			takes: rapid.IntRange(0, 30).Draw(rt, "takes"), cancelled: rapid.IntRange(-1, 20).Draw(rt, "cancelled after"),
		}
		var err error
		synctest.Test(t, func(t *testing.T) { err = x.play(t) })
		if err != nil {
			rt.Fatalf("%+v: %v", x, err)
		}
	})
}

func (x traffic) play(t *testing.T) error {
	d, b, w := passed(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w.ctx = ctx
	d.Bind(w.send)
	up, down := make(chan int, x.size), make(chan string, x.size)
	out := cross[chan<- int](t, d, b, up)
	in := cross[<-chan string](t, d, b, down)
	if cap(out) != x.size || cap(in) != x.size {
		return fmt.Errorf("capacities %d and %d", cap(out), cap(in))
	}
	done, parent := make(chan struct{}), new(sync.WaitGroup)
	var taken []string
	var function sync.WaitGroup
	function.Go(func() { // the function
		for i := range x.sends {
			out <- i
		}
		for range x.takes {
			s, open := <-in
			if !open {
				break
			}
			taken = append(taken, s)
		}
		if x.closes {
			close(out)
		}
		if err := b.Settle(ctx); err != nil {
			t.Error(err)
		}
		b.End()
		d.Close()
		close(done)
	})
	offered := 0
	parent.Go(func() {
		for ; offered < x.offers; offered++ {
			select {
			case down <- fmt.Sprint(offered):
			case <-done:
				return
			}
		}
		if x.shuts {
			close(down)
		}
	})
	got := x.receive(up, cancel)
	if ahead := offered - len(taken) - len(down); ahead > x.size+1 {
		return fmt.Errorf("%d elements were taken ahead", ahead)
	}
	cancel() // what still waits waits for ever
	function.Wait()
	parent.Wait()
	for v := range drained(up) {
		got = append(got, v)
	}
	return x.check(got, taken, up)
}

// receive receives as the parent does, each time when all is done that can be.
func (x traffic) receive(up <-chan int, cancel func()) (got []int) {
	defer synctest.Wait()
	for len(got) < x.receives {
		if len(got) == x.cancelled {
			cancel()
		}
		synctest.Wait()
		select {
		case v, open := <-up:
			if !open {
				return got
			}
			got = append(got, v)
		default:
			return got
		}
	}
	return got
}

// drained yields what a channel still holds.
func drained(ch <-chan int) func(func(int) bool) {
	return func(yield func(int) bool) {
		for {
			select {
			case v, ok := <-ch:
				if !ok || !yield(v) {
					return
				}
			default:
				return
			}
		}
	}
}

// check holds what came through to the model: each direction is a beginning of what was sent, in order.
func (x traffic) check(got []int, taken []string, up chan int) error {
	for i, v := range got {
		if v != i {
			return fmt.Errorf("the parent received %v", got)
		}
	}
	for i, s := range taken {
		if s != fmt.Sprint(i) {
			return fmt.Errorf("the function received %q", taken)
		}
	}
	free := x.receives >= x.sends && (x.cancelled < 0 || x.cancelled >= x.receives) && (x.takes == 0 || x.offers >= x.takes || x.shuts)
	if free && (len(got) != x.sends || len(taken) != min(x.takes, x.offers)) {
		return fmt.Errorf("nothing was in the way, and %d and %d elements came through", len(got), len(taken))
	}
	select {
	case _, open := <-up:
		if !open && !x.closes {
			return errors.New("the end of the call has closed the parent's channel")
		}
	default:
		if free && x.closes {
			return errors.New("the parent's channel is open, although the function has closed its own")
		}
	}
	return nil
}

func TestN02_OneChannelIsOneChannel(t *testing.T) {
	d, b, w := passed(t)
	d.Bind(w.send)
	ch, other := make(chan int), make(chan int)
	one, two := cross[chan<- int](t, d, b, ch), cross[chan<- int](t, d, b, ch)
	if one != two || one == cross[chan<- int](t, d, b, other) {
		t.Error("the same channel is another, or another the same")
	}
}

func TestN02_AReceivedChannelCannotBeRetried(t *testing.T) {
	d, _, _ := passed(t)
	d.Again = true
	if _, err := d.Lend(make(<-chan int), reflect.TypeFor[<-chan int]()); !errors.Is(err, errTaken) {
		t.Errorf("got %v", err)
	}
	if _, err := d.Lend(make(chan<- int), reflect.TypeFor[chan<- int]()); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestN02_AnElementThatCannotCrossFailsTheCall(t *testing.T) {
	d, b, w := passed(t)
	d.Bind(w.send)
	up := make(chan any, 1)
	out := cross[chan<- any](t, d, b, up)
	out <- func() {}
	out <- 1
	out <- 2 // nobody waits for it any more
	if err := b.Settle(t.Context()); err == nil || !strings.Contains(err.Error(), "send an element to a chan interface {}") {
		t.Errorf("got %v", err)
	}
}

func TestN02_ARunnerThatSendsOrAsksForTooMuchEndsTheCall(t *testing.T) {
	msg, err := codec.Encode(new(int), codec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var one []byte
	pieces(0, msg, func(n []byte) { one = slices.Clone(n) })
	large := append(note(0, element, 0), make([]byte, maxNote-noteHead)...)
	for name, notes := range map[string][][]byte{
		"more elements than were granted": {one, one, one},
		"an element that never ends":      slices.Repeat([][]byte{large}, 1+1<<20/len(large)),
		"bytes that are no element":       {note(0, element, 1, 0xff, 0xff, 0xff)},
		"an element of no channel's":      {note(0, element)},
		"elements behind the last":        {note(0, closing), one},
		"to be sent too much":             {note(1, took, 3, 0)},
		"to be sent less than before":     {note(1, took, 2, 0), note(1, took, 1, 0)},
		"that it has got what was not":    {note(1, took, 2, 1)},
		"half of what it has to":          {note(1, took, 2)},
		"something else":                  {note(1, element, 1)},
	} {
		t.Run(name, func(t *testing.T) {
			d, b, w := passed(t)
			w.desk = new(Desk) // what stands in says nothing
			d.Bind(w.send)
			cross[chan<- int](t, d, b, make(chan int))
			cross[<-chan int](t, d, b, make(chan int, 1))
			for _, n := range notes {
				d.Noted(n)
			}
			eventually(t, func() bool { return d.Owner.(*office).failed() != nil })
		})
	}
}

// idle is an office that begins nothing before it is told to.
type idle struct {
	office
	later []func()
}

func (o *idle) Go(f func()) { o.later = append(o.later, f) }

func (o *idle) work() {
	for len(o.later) > 0 {
		f := o.later[0]
		o.later = o.later[1:]
		f()
	}
}

func TestN02_WhatARunnerMayNotSayClosesNothing(t *testing.T) {
	d, b, w := passed(t)
	o := new(idle)
	d.Owner = o
	d.Bind(w.send)
	up := make(chan int, 1)
	cross[chan<- int](t, d, b, up)
	d.Noted(pieceOf(t, 7))
	d.Noted(note(0, logged))
	o.work()
	select {
	case v, open := <-up:
		t.Errorf("received %d, %v", v, open)
	default:
	}
	if o.failed() == nil {
		t.Error("the call goes on")
	}
}

// pieceOf is the note of an element for the first channel.
func pieceOf(t *testing.T, v int) (n []byte) {
	t.Helper()
	msg, err := codec.Encode(&v, codec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	pieces(0, msg, func(piece []byte) { n = slices.Clone(piece) })
	return n
}

func TestN02_ACallThatRunsAgainBeginsAgain(t *testing.T) {
	d, _, _ := passed(t)
	d.Again = true
	up := make(chan int)
	ref, err := d.Lend((chan<- int)(up), reflect.TypeFor[chan<- int]())
	if err != nil {
		t.Fatal(err)
	}
	d.Send(Mark{})
	d.Bind(func([]byte) {})
	d.Noted(pieceOf(t, 1)) // nobody has received it when the runner is lost
	d.Noted(note(0, element, 0, 1, 2))
	for run := range 3 {
		d.Send(Mark{})
		w := &wire{ctx: t.Context(), desk: d}
		b := &Borrower{Link: w, Leftovers: new(Leftovers)}
		got, err := b.Borrow(ref, reflect.TypeFor[chan<- int]())
		if err != nil {
			t.Fatal(err)
		}
		var function sync.WaitGroup
		function.Go(func() {
			got.(chan<- int) <- 10 + run
			got.(chan<- int) <- 20 + run
			if err := b.Settle(t.Context()); err != nil {
				t.Error(err)
			}
		})
		d.Bind(w.send)
		first := <-up
		if run == 0 && first == 1 { // perhaps
			first = <-up
		}
		if second := <-up; first != 10+run || second != 20+run {
			t.Errorf("run %d: received %d and %d", run, first, second)
		}
		function.Wait()
		b.End()
		b.Leftovers.End()
	}
	if err := d.Owner.(*office).failed(); err != nil {
		t.Error(err)
	}
}

func TestN02_AnElementThatIsTooLargeIsRefusedWhereItIsSent(t *testing.T) {
	d, b, w := passed(t)
	b.Limit = d.Limit
	d.Bind(w.send)
	out := cross[chan<- []byte](t, d, b, make(chan []byte, 1))
	out <- make([]byte, 2<<20)
	var refused *codec.SendError
	if err := b.Settle(t.Context()); !errors.As(err, &refused) {
		t.Errorf("got %v", err)
	}
	if err := d.Owner.(*office).failed(); err != nil {
		t.Error(err)
	}
}

func TestN02_WhoSendsAllTheTimeHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ch := make(chan int)
		var sent atomic.Int64
		var senders sync.WaitGroup
		defer senders.Wait()
		for range 2*atOnce + 1 {
			senders.Go(func() { ch <- 1; sent.Add(1) })
		}
		for _, want := range []int64{atOnce, 2 * atOnce, 2*atOnce + 1} {
			synctest.Wait()
			if !emptied(reflect.ValueOf(ch)) {
				t.Error("an open channel counts as closed")
			}
			synctest.Wait()
			if got := sent.Load(); got != want {
				t.Errorf("%d elements were taken out by then, not %d", got, want)
			}
		}
	})
}

// eventually waits for what another goroutine does.
func eventually(t *testing.T, is func() bool) {
	t.Helper()
	for range 1 << 20 {
		if is() {
			return
		}
		runtime.Gosched()
	}
	t.Error("never")
}

func TestN02_LeftoversForgetWhatNobodyHas(t *testing.T) {
	var l Leftovers
	kept := make(chan int, 1)
	kept <- 1
	l.add(reflect.ValueOf(kept))
	for range 100 {
		l.add(reflect.ValueOf(make(chan int, 1)))
	}
	l.timer.Stop()
	for range 100 {
		runtime.GC()
		l.sweep()
		l.timer.Stop()
		if len(l.channels) == 1 {
			break
		}
	}
	if len(l.channels) != 1 || len(kept) != 0 {
		t.Errorf("%d channels are known, the one that is used holds %d", len(l.channels), len(kept))
	}
	close(kept)
	l.sweep()
	if len(l.channels) != 0 || l.timer != nil {
		t.Errorf("%d channels are known when all are closed", len(l.channels))
	}
}

// channelSeeds are notes about channels numbered 0 and 1.
func channelSeeds(f *testing.F) {
	msg, err := codec.Encode(new(int), codec.Options{})
	if err != nil {
		f.Fatal(err)
	}
	var whole []byte
	pieces(0, msg, func(n []byte) { whole = slices.Clone(n) })
	for i, n := range [][]byte{whole, note(0, element), note(0, element, 0, 1, 2), note(0, element, 1), note(0, closing), note(1, took, 3, 0), note(1, took, 3, 1), note(1, took, 0xff, 0xff, 0x7f), note(0, took, 2, 1)} {
		f.Add(n, note(0, closing), i)
		f.Add(n, n, 7)
	}
}

// FuzzNotesOfARunnerAboutChannels: what a runner says of channels may be any bytes, and any number of them.
func FuzzNotesOfARunnerAboutChannels(f *testing.F) {
	channelSeeds(f)
	f.Fuzz(func(t *testing.T, first, second []byte, times int) {
		d, b, w := passed(t)
		d.Bind(w.send)
		up, down := make(chan int, 2), make(chan int, 2)
		cross[chan<- int](t, d, b, up)
		cross[<-chan int](t, d, b, down)
		for range times % 1000 {
			d.Noted(first)
			d.Noted(second)
		}
		for i := range 3 {
			select {
			case down <- i:
			default:
			}
		}
		d.Close()
		d.Owner.(*office).wg.Wait() // or a goroutine is left
	})
}

// FuzzNotesOfAParentAboutChannels: what a parent says is believed, but does no harm.
func FuzzNotesOfAParentAboutChannels(f *testing.F) {
	channelSeeds(f)
	f.Fuzz(func(t *testing.T, first, second []byte, times int) {
		d, b, _ := passed(t)
		out := cross[chan<- int](t, d, b, make(chan int, 1))
		in := cross[<-chan struct{}](t, d, b, make(chan struct{}, 1))
		for range times % 1000 {
			b.heed(first)
			b.heed(second)
		}
		out <- 1
		b.End()
		for range in {
		}
	})
}

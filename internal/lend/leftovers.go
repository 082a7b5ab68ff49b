package lend

import (
	"reflect"
	"sync"
	"time"

	"github.com/fleetinglambda/flame/internal/codec"
)

const (
	// firstSweep is how long a send to a channel whose call is over may block at first, and lastSweep in the end.
	firstSweep = 100 * time.Millisecond
	lastSweep  = 5 * time.Second
)

// Leftovers are channels whose calls are over. Something that a function has left behind may still send to them: what it
// sends is dropped, so that it neither blocks for ever nor panics. A channel that nobody has any more is forgotten. The zero
// value is ready.
type Leftovers struct {
	mu       sync.Mutex // guards what follows
	channels []codec.WeakChannel
	pause    time.Duration
	timer    *time.Timer // nil: there is nothing to sweep
	over     bool
}

// add takes over a channel.
func (l *Leftovers) add(ch reflect.Value) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return
	}
	l.channels = append(l.channels, codec.WeakChannelOf(ch))
	if l.pause = firstSweep; l.timer == nil {
		l.timer = time.AfterFunc(l.pause, l.sweep)
	} else {
		l.timer.Reset(l.pause)
	}
}

// sweep empties what is left, and comes again later while something is.
func (l *Leftovers) sweep() {
	l.mu.Lock()
	defer l.mu.Unlock()
	left := l.channels[:0]
	for _, w := range l.channels {
		if ch, ok := w.Channel(); ok && emptied(ch) {
			left = append(left, w)
		}
	}
	clear(l.channels[len(left):])
	l.channels = left
	if l.over || len(left) == 0 {
		l.timer = nil
		return
	}
	l.pause = min(2*l.pause, lastSweep)
	l.timer.Reset(l.pause)
}

// atOnce is how many elements are taken out at a time besides those that a channel can hold: others that send all the
// time do not keep it from the other channels.
const atOnce = 1000

// emptied takes out what a channel has at the moment. It says whether more may come: false if it is closed.
func emptied(ch reflect.Value) bool {
	for range ch.Cap() + atOnce {
		v, ok := ch.TryRecv()
		if !v.IsValid() {
			return true
		}
		if !ok {
			return false
		}
	}
	return true
}

// End has nothing swept any more: the process ends.
func (l *Leftovers) End() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over, l.channels = true, nil
	if l.timer != nil {
		l.timer.Stop()
	}
}

// Package pool is a bounded, elastic set of runners, seen from the parent. It moves bytes: what is in them it
// does not know. What it does is decided by a pure state; the pool adds the clock, the lock and the work.
package pool

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/internal/session"
)

// Config says what a pool is like. Name, Backend, Max, MaxConcurrency, the first three times, Spec, Join and Logger
// are set. Of the others, 0 is off.
type Config struct {
	Name    string
	Backend backend.Backend

	Min, Max, MaxConcurrency int

	BootTimeout          time.Duration
	ShutdownTimeout      time.Duration
	IdleShutdownAfter    time.Duration // negative: never
	MinIdleShutdownAfter time.Duration // for the runners of Min; 0 or less: never
	MaxRunnerAge         time.Duration // then a runner is replaced
	KillGrace            time.Duration // how long a function may ignore that it ought to end

	SingleUse      bool  // a runner serves one call
	Headroom       int   // free slots to keep, within Max
	MaxQueue       int   // calls that wait
	MaxQueueBytes  int64 // their bytes, by Call.Size; a larger call waits if no bytes do
	BootsPerMinute int   // of runners that serve nobody; 0: 60 and Max

	// Spec says what to boot as the runner with this id. ctx ends with its boot.
	Spec func(ctx context.Context, id string) (backend.Spec, error)
	// Join connects to what was booted and shakes hands. ctx ends with BootTimeout.
	Join func(ctx context.Context, id string, inst backend.Instance) (*session.Session, error)
	// IdleCheck, if not nil, asks a runner without calls whether it may leave. An error is logged and means that it may.
	// ctx ends with the runner, and after ten seconds.
	IdleCheck func(ctx context.Context, s *session.Session) (idle bool, err error)
	// Leaving, if not nil, returns a channel that is closed when the runner says that it takes no more calls.
	Leaving func(s *session.Session) <-chan struct{}
	// Lost, if not nil, says of an answer whether the runner has lost the call, and whether it may have started.
	Lost func(reply []byte) (lost, started bool)
	// OnEvent, if not nil, is a reader of events from the start, see Subscribe.
	OnEvent func(Event)

	// Begins, if not nil, is told of each call before it is sent to a runner, and Ends when its function is over, before
	// another can have its slot. They are called under no lock and must not block.
	Begins func(c *Call, runner string)
	Ends   func(runner string, inst backend.Instance)
	// Cause, if not nil, packs why a call is cancelled for its runner; nil is no particular cause.
	Cause func(error) []byte
	// Gone, if not nil, is told when nothing is left of a runner, or of one that did not come up.
	Gone func(runner string)

	Logger *slog.Logger
	Seed   uint64 // of the jitter between boots; 0 takes a random one
}

// rules returns what the state decides by.
func (c *Config) rules() rules {
	seed := c.Seed
	if seed == 0 {
		seed = rand.Uint64()
	}
	return rules{
		min: c.Min, max: c.Max, slots: c.MaxConcurrency, once: c.SingleUse, headroom: c.Headroom,
		idleAfter: c.IdleShutdownAfter, minIdleAfter: c.MinIdleShutdownAfter, asks: c.IdleCheck != nil,
		maxAge: c.MaxRunnerAge, grace: c.KillGrace, lastGrace: c.ShutdownTimeout,
		maxLine: c.MaxQueue, maxBytes: c.MaxQueueBytes, bootsPerMinute: c.BootsPerMinute,
		jitter: rand.New(rand.NewPCG(seed, 0)).Float64,
	}
}

// Pool is a pool at work.
type Pool struct {
	config Config
	start  time.Time
	wg     sync.WaitGroup // a goroutine for each runner, and for what ends slowly
	cut    chan struct{}  // closed by Close: everything is to end now
	cutNow func()
	filled chan struct{} // one token when Min runners are up, or one could not boot

	mu      sync.Mutex // guards what follows; never held while anything may block
	state   *state
	live    map[*runner]*live
	timer   *time.Timer
	armed   time.Duration // when timer fires; 0: it does not
	failure error         // the first boot's that failed
	empty   chan struct{} // closed when the pool is closing and no runner is left
	feeds   []*feed       // readers of events
	former  []*feed       // those that have stopped and may still be told one
	dropped uint64        // events that former readers were too slow for
}

// Open boots Min runners and returns the pool. If one does not come up, the others are stopped, and the error
// is its *BootError.
func Open(ctx context.Context, c Config) (*Pool, error) {
	p := &Pool{
		config: c, start: time.Now().Add(-1), cut: make(chan struct{}), filled: make(chan struct{}, 1),
		live: make(map[*runner]*live), empty: make(chan struct{}),
	}
	p.cutNow = sync.OnceFunc(func() { close(p.cut) })
	p.state = newState(c.rules(), func() string { return fmt.Sprintf("%s-%08x", idPrefix(c.Name), rand.Uint32()) })
	p.timer = time.AfterFunc(time.Hour, p.tick)
	p.timer.Stop()
	if c.OnEvent != nil {
		p.Subscribe(c.OnEvent)
	}
	p.event(nil, p.state.settle)
	if err := p.fill(ctx); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// idPrefix makes a runner's id tell its pool, in the letters that every engine allows.
func idPrefix(name string) string {
	id := make([]byte, 0, 40)
	for _, b := range []byte(name) {
		switch {
		case b >= 'a' && b <= 'z', b >= '0' && b <= '9' && len(id) > 0:
			id = append(id, b)
		case b >= 'A' && b <= 'Z':
			id = append(id, b|0x20)
		case len(id) > 0 && id[len(id)-1] != '-':
			id = append(id, '-')
		}
		if len(id) == cap(id) {
			break
		}
	}
	if len(id) == 0 {
		return "flame"
	}
	return string(id)
}

// fill waits until Min runners are up.
func (p *Pool) fill(ctx context.Context) error {
	for {
		p.mu.Lock()
		up, err := p.state.count[ready] >= p.config.Min, p.failure
		p.mu.Unlock()
		switch {
		case up: // also if one failed that was asked for beyond Min
			return nil
		case err != nil:
			return err
		}
		select {
		case <-p.filled:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// now is the time since the pool was opened, at least 1 ns.
func (p *Pool) now() time.Duration { return time.Since(p.start) }

// event lets the state decide and does what it decided. self is the call whose caller does this, or nil.
func (p *Pool) event(self *Call, decide func(now time.Duration)) {
	var room [4]action
	p.mu.Lock()
	decide(p.now())
	actions := append(room[:0], p.state.take()...)
	for _, a := range actions {
		p.prepareLocked(a, self)
	}
	p.publishLocked()
	p.armLocked()
	p.signalLocked()
	p.mu.Unlock()
	for _, a := range actions {
		p.perform(a)
	}
}

// prepareLocked does the part of an action that needs the lock.
func (p *Pool) prepareLocked(a action, self *Call) {
	switch a.kind {
	case boot:
		l := newLive(a.r)
		p.live[a.r] = l
		p.wg.Go(func() { p.run(l) }) // under the lock, so that Close waits for it or it is not begun
	case retire:
		p.live[a.r].retire()
	case kill:
		p.live[a.r].kill(stuck{a.err.(*StuckError), a.c.remote})
	case ask:
		l := p.live[a.r]
		p.wg.Go(func() { p.ask(l) })
	case grant:
		a.c.on, a.c.Runner = p.live[a.r], a.r.id
		if a.c.synced && a.c != self {
			a.c.wakeLocked()
		}
	}
}

// publishLocked gives what has happened to those who want to know.
func (p *Pool) publishLocked() {
	events := p.state.history.take()
	if len(events) == 0 {
		return
	}
	for _, f := range p.feeds {
		f.put(events)
	}
}

// armLocked sets the one timer for the next thing that is due, if that is before what it is set for.
func (p *Pool) armLocked() {
	at, ok := p.state.due()
	if ok && (p.armed == 0 || at < p.armed) {
		p.armed = at
		p.timer.Reset(max(0, at-p.now()))
	}
}

func (p *Pool) tick() {
	p.mu.Lock()
	p.armed = 0
	p.mu.Unlock()
	p.event(nil, p.state.tick)
}

func (p *Pool) signalLocked() {
	if p.state.count[ready] >= p.config.Min || p.failure != nil {
		select {
		case p.filled <- struct{}{}:
		default:
		}
	}
	if p.state.closing && len(p.live) == 0 && p.state.line.n == 0 {
		select {
		case <-p.empty:
		default:
			close(p.empty)
		}
	}
}

// Shutdown lets no new call in, waits for the others, and for the runners to leave. When ctx ends first, it
// closes the pool.
func (p *Pool) Shutdown(ctx context.Context) error {
	p.event(nil, p.state.shut)
	select {
	case <-p.empty:
		return p.Close()
	case <-ctx.Done():
		p.Close()
		return context.Cause(ctx)
	}
}

// Close ends every call and every runner. When it returns, nothing of the pool is left, but a reader of events that
// does not return.
func (p *Pool) Close() error {
	p.event(nil, p.state.close)
	p.cutNow()
	p.wg.Wait()
	p.timer.Stop()
	p.endFeeds()
	return nil
}

// endFeeds gives the readers of events what is left for them.
func (p *Pool) endFeeds() {
	p.mu.Lock()
	feeds := slices.Concat(p.feeds, p.former)
	p.mu.Unlock()
	for _, f := range feeds {
		f.end(false)
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastEvents)
	defer cancel()
	for _, f := range feeds {
		f.wait(ctx)
	}
}

// Resize changes how many runners there are at least and at most. Those that are too many take no more calls and leave
// when they have none.
func (p *Pool) Resize(least, most int) error {
	if least < 0 || most < max(1, least) {
		return fmt.Errorf("resize to between %d and %d runners: the first must be 0 or more, the second at least 1 and not less than the first", least, most)
	}
	var closing bool
	p.event(nil, func(now time.Duration) {
		if closing = p.state.closing; !closing {
			p.state.resize(least, most, now)
		}
	})
	if closing {
		return ErrClosed
	}
	return nil
}

// Subscribe has tell called with every event from now on, in order, one at a time, until stop. It may be slow: it
// misses events then, as Event.Dropped says, and nothing else. It may panic, and it may use the pool. After stop it is
// called no more, but for an event that it is being told.
func (p *Pool) Subscribe(tell func(Event)) (stop func()) {
	f := newFeed(tell, p.start, p.config.Logger)
	p.mu.Lock()
	p.feeds = append(slices.Clone(p.feeds), f)
	p.state.history.observed = true
	over := p.state.closed && len(p.live) == 0
	p.mu.Unlock()
	if over { // nothing happens any more
		f.end(true)
	}
	return sync.OnceFunc(func() { p.unsubscribe(f) })
}

func (p *Pool) unsubscribe(f *feed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.feeds = slices.DeleteFunc(slices.Clone(p.feeds), func(g *feed) bool { return g == f })
	p.former = append(slices.DeleteFunc(p.former, (*feed).isDone), f)
	p.state.history.observed = len(p.feeds) > 0
	f.end(true)
	p.dropped += f.drops()
}

package flame

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetinglambda/flame/internal/codec"
	"github.com/fleetinglambda/flame/internal/pool"
	"github.com/fleetinglambda/flame/internal/runner"
)

const (
	// maxUnderWay is how many items of one Map are under way at most, in pools that have more slots.
	maxUnderWay = 4096
	// leastAhead is how far inputs may be read ahead of results in any pool.
	leastAhead = 64
	// inputTime is how long the end of a Map waits for an input that is being waited for.
	inputTime = 100 * time.Millisecond
)

// mapping is one loop over a Map. One goroutine reads the input and starts calls; the loop's own takes their results.
type mapping struct {
	residences

	call    sending         // what all items have in common
	ctx     context.Context // of the caller
	calls   context.Context // of the items: the mapping ends them itself
	whole   bool            // every item brings the function
	inOrder bool
	feeding sync.WaitGroup
	fed     chan struct{} // closed when the input is not read any more
	unwatch func()        // stops watching ctx
	full    atomic.Bool   // the pool's line was

	mu       sync.Mutex // guards what follows
	room     sync.Cond  // for the input: something was taken, or is over, or moved
	news     sync.Cond  // for the loop: something is over
	slots    int        // items under way, at most
	window   int        // inputs read and results not taken, at most
	line     []*mappedItem
	underWay []*mappedItem
	ahead    int   // inputs whose result was not taken
	moves    int   // items that have left the pool's line since it was full
	done     bool  // the input is not read any more
	early    bool  // although it may have more
	cut      error // why no more is read
	told     bool  // an item has said so
	thrown   *any  // what the input has panicked with
	exited   bool  // the input has ended its goroutine
}

// mappedItem is the call of one input.
type mappedItem struct {
	sending
	at      int // in underWay
	started bool
	over    bool
	refused error // it was not taken in
}

// newMapping checks that the function and inputs can cross, and copies the function.
func (p *Pool) newMapping(ctx context.Context, f sendable, input runner.Function, opts []Option) (*mapping, error) {
	m := &mapping{ctx: ctx, calls: context.WithoutCancel(ctx), fed: make(chan struct{})}
	m.room.L, m.news.L = &m.mu, &m.mu
	m.call.each = true
	if err := p.prepare(ctx, &m.call, f, opts); err != nil {
		return nil, err
	}
	if m.call.call.Holds {
		return nil, &SendError{Path: "the result → " + f.result().String(), Reason: "it would stay on its runner, and hold a slot there, until it is closed: read it in the function, or use Call"}
	}
	if err := ctx.Err(); err != nil {
		return nil, &TimeoutError{cause: causeOf(ctx)}
	}
	if err := codec.Check(&input); err != nil {
		return nil, ofInput(atRim(p.config.Name, err))
	}
	if err := m.copyFunction(); err != nil {
		return nil, atRim(p.config.Name, err)
	}
	if m.whole = p.config.Isolation == PerCall; m.whole {
		m.message = nil // that was to see whether it can cross
	}
	m.inOrder = !m.call.unordered
	return m, nil
}

// causeOf says why ctx has ended.
func causeOf(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return context.DeadlineExceeded
	}
	return context.Cause(ctx)
}

// begin has the input read.
func (m *mapping) begin(each func(add func(runner.Function) bool)) {
	m.call.pool.begun(m)
	ended := make(chan struct{})
	stop := context.AfterFunc(m.ctx, func() {
		defer close(ended)
		cause := causeOf(m.ctx)
		m.stop(&TimeoutError{cause: cause}, cause)
	})
	m.unwatch = func() {
		if !stop() {
			<-ended
		}
	}
	m.feeding.Go(func() { m.feed(each) }) // an input that waits nobody can end, so nobody waits for this for long
}

// feed reads the input. What it panics with is for the loop.
func (m *mapping) feed(each func(add func(runner.Function) bool)) {
	returned := false
	defer close(m.fed)
	defer func() {
		v := recover()
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.done, m.exited = true, v == nil && !returned; v != nil {
			m.thrown = &v
		}
		m.news.Signal()
	}()
	each(m.add)
	returned = true
}

// add starts an item and waits until there is room for another. It returns false if none is wanted.
func (m *mapping) add(f runner.Function) bool {
	if i := m.enter(); i != nil {
		if err := m.start(i, f); err != nil {
			m.refuse(i, err)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.cut == nil && (m.ahead >= m.window || len(m.underWay) >= m.slots) {
		m.room.Wait()
	}
	m.early = m.cut != nil
	return !m.early
}

// enter makes an item of the next input; nil if none is wanted.
func (m *mapping) enter() *mappedItem {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cut != nil {
		return nil
	}
	i := &mappedItem{at: len(m.underWay)}
	m.underWay = append(m.underWay, i)
	if m.ahead++; m.inOrder {
		m.line = append(m.line, i)
	}
	return i
}

// start gives an item to the pool. While the pool's line is full, it waits for the others of this Map.
func (m *mapping) start(i *mappedItem, f runner.Function) error {
	p := m.call.pool
	i.pool, i.crossing = p, m.call.carry(f)
	i.desk.Context, i.desk.Owner, i.desk.Again, i.desk.Limit = m.ctx, &i.sending, m.call.call.Retry > 0, p.config.MessageLimit
	i.call.Key = m.call.call.Key
	msg, err := codec.Encode(&i.crossing, codec.Options{Limit: p.config.MessageLimit, Snapshot: true, Lender: &i.desk, Notice: &i.sending})
	for err == nil {
		seen := m.moved()
		m.compose(i, msg)
		if err = p.pool.Start(m.calls, &i.call); err == nil {
			m.started(i)
			return nil
		}
		if errors.Is(err, pool.ErrQueueFull) {
			err = m.wait(seen)
		}
	}
	return ofInput(atRim(p.config.Name, err))
}

// ofInput has an error name the input as its caller knows it.
func ofInput(err error) error {
	var refused *SendError
	if errors.As(err, &refused) && strings.HasPrefix(refused.Path, "runner.Function → ") {
		if _, path, ok := strings.Cut(refused.Path, " → .in"); ok {
			refused.Path = "the input" + path
		}
	}
	return err
}

// compose makes the call of an item.
func (m *mapping) compose(i *mappedItem, msg codec.Message) {
	c := &m.call.call
	i.call = pool.Call{
		Key: c.Key, Priority: c.Priority, Retry: c.Retry, Timeout: c.Timeout, Lent: &i.sending, Size: msg.Size(),
		Encode: func() ([][]byte, error) { return msg, nil },
		Sent:   m.sent,
		Ended:  func(*pool.Call) { m.over(i) },
	}
	if !m.whole {
		i.call.Ahead = m.bring
	}
	if d, ok := m.ctx.Deadline(); ok {
		if left := max(1, time.Until(d)); i.call.Timeout == 0 || left < i.call.Timeout {
			i.call.Timeout = left
		}
	}
}

func (m *mapping) started(i *mappedItem) {
	m.mu.Lock()
	i.started = true
	cut := m.cut
	m.mu.Unlock()
	if cut != nil {
		m.call.pool.pool.Cancel(&i.call, causeIn(cut))
	}
}

// causeIn is the cause of the end of items that the cut of their Map ends.
func causeIn(cut error) error {
	var late *TimeoutError
	if errors.As(cut, &late) {
		return late.cause
	}
	return context.Canceled
}

// moved returns how many items have left the pool's line, as far as that was counted.
func (m *mapping) moved() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.moves
}

// wait waits until an item has left the pool's line since seen, if there is one that will.
func (m *mapping) wait(seen int) error {
	if !m.full.Swap(true) { // those that have left were not counted
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.moves == seen && m.cut == nil && len(m.underWay) > 1 {
		m.room.Wait()
	}
	switch {
	case m.cut != nil:
		return &pool.TimeoutError{Cause: causeIn(m.cut)}
	case m.moves == seen:
		return pool.ErrQueueFull
	}
	return nil
}

// sent notes that an item has left the pool's line.
func (m *mapping) sent(*pool.Call) {
	if m.full.Load() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.moves++
		m.room.Signal()
	}
}

// refuse notes that the pool does not take an item. If it takes no other either, nothing more is read.
func (m *mapping) refuse(i *mappedItem, err error) {
	i.refused = err
	m.mu.Lock()
	if errors.Is(err, ErrPoolClosed) && m.cut == nil {
		m.cut = ErrPoolClosed
	}
	m.mu.Unlock()
	m.over(i)
}

// over notes that an item has its outcome.
func (m *mapping) over(i *mappedItem) {
	i.desk.Close()
	m.mu.Lock()
	defer m.mu.Unlock()
	last := m.underWay[len(m.underWay)-1]
	m.underWay[i.at], last.at = last, i.at
	m.underWay[len(m.underWay)-1] = nil
	m.underWay = m.underWay[:len(m.underWay)-1]
	if i.over = true; !m.inOrder {
		m.line = append(m.line, i)
	}
	m.moves++
	m.room.Signal()
	if m.line[0] == i {
		m.news.Signal()
	}
}

// next waits for the next item that is over. There is none after the last, or if the input has panicked.
func (m *mapping) next() *mappedItem {
	m.mu.Lock()
	defer m.mu.Unlock()
	for {
		switch {
		case m.thrown != nil || m.exited:
			return nil
		case len(m.line) > 0 && m.line[0].over:
			i := m.line[0]
			m.line[0], m.line = nil, m.line[1:]
			m.ahead--
			m.room.Signal()
			return i
		case m.ahead == 0 && (m.done || m.cut != nil):
			return nil
		}
		m.news.Wait()
	}
}

// read reads the result of an item, when what its function has logged is delivered.
func (m *mapping) read(i *mappedItem, result any) error {
	err := i.refused
	if err == nil {
		i.desk.Wait(m.ctx)
		m.delivered()
		err = i.pool.read(&i.call, i.call.Err, result)
	}
	var late *TimeoutError
	if errors.As(err, &late) || errors.Is(err, ErrPoolClosed) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.told = m.cut != nil
	}
	return err
}

// stop has nothing more be read, and what is under way end.
func (m *mapping) stop(why, cause error) {
	m.mu.Lock()
	if m.cut == nil {
		m.cut = why
	}
	var started []*mappedItem
	for _, i := range m.underWay {
		if i.started {
			started = append(started, i)
		}
	}
	m.room.Broadcast()
	m.news.Broadcast()
	m.mu.Unlock()
	for _, i := range started {
		m.call.pool.pool.Cancel(&i.call, cause)
	}
}

// why says why the loop ends before the input does, unless an item has said so. If the input has panicked, why does.
func (m *mapping) why() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.thrown != nil:
		panic(*m.thrown)
	case m.exited:
		runtime.Goexit()
	case m.told || m.done && !m.early:
		return nil
	}
	return m.cut
}

var errLeft = errors.New("the loop was left")

// end ends all that goes on.
func (m *mapping) end() {
	m.unwatch()
	m.call.pool.ended(m)
	m.stop(errLeft, context.Canceled)
	patience := time.NewTimer(inputTime)
	defer patience.Stop()
	select {
	case <-m.fed:
	case <-patience.C:
	}
	m.leave()
}

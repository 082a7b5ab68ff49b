package flame

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/internal/lend"
	"github.com/fleetinglambda/flame/internal/pool"
	"github.com/fleetinglambda/flame/internal/session"
)

const (
	// maxUnlogged is how many bytes of lines and records may wait for the logger before others are dropped. From then on
	// all are, until it has caught up with half of them.
	maxUnlogged = 1 << 20
	// perEntry is what one that waits counts beside its text.
	perEntry = 200
	// lastOutput is how long Close waits for the logger to take what is left.
	lastOutput = time.Second
)

// output is what the runners of a pool print and log, on its way to the pool's logger. Whoever brings it must not wait
// for the logger, so it is delivered besides, in order.
type output struct {
	pool    *Pool
	wg      sync.WaitGroup // deliver
	runners sync.Map       // by id: *printer

	mu      sync.Mutex // guards what follows; never held while the logger works
	waiting []entry
	bytes   int
	full    bool          // what comes is dropped
	missed  int           // dropped since the last one that waits
	stopped bool          // what waits is dropped
	idle    chan struct{} // closed by deliver when nothing is left; nil if it does not run
}

// entry is a line, or a record.
type entry struct {
	lend.Told
	time   time.Time
	runner string
	call   mark
	missed int // dropped before it
}

func (e *entry) size() int { return e.Size() + perEntry }

// mark is the call that something is of. Its number is 0 if none is known.
type mark struct {
	number, key uint64
}

// attach has the pool inside tell of what concerns output.
func (o *output) attach(c *pool.Config) {
	c.Gone = func(runner string) {
		o.of(runner).end()
		o.runners.Delete(runner)
	}
	if c.MaxConcurrency != 1 || o.pool.config.Isolation == PerCall { // then the runner tells which call prints
		return
	}
	c.Begins = func(call *pool.Call, runner string) { o.of(runner).begin(mark{call.Number(), call.Key}) }
	c.Ends = func(runner string, inst backend.Instance) {
		if f, ok := inst.(backend.Flusher); ok {
			f.Flush()
		}
		o.of(runner).end()
	}
}

// of returns what takes a runner's output.
func (o *output) of(runner string) *printer {
	if p, ok := o.runners.Load(runner); ok {
		return p.(*printer)
	}
	p := &printer{output: o, runner: runner}
	p.lines.Line = func(line []byte, more int) { o.put(p.entry(p.call, lend.Told{Line: line, More: more})) }
	made, _ := o.runners.LoadOrStore(runner, p)
	return made.(*printer)
}

// printer takes what one runner prints and tells.
type printer struct {
	output *output
	runner string

	mu    sync.Mutex // guards what follows
	lines lend.Lines
	call  mark // that the runner has, or had last, if it has one at a time
}

// Write takes what the runner has printed.
func (p *printer) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lines.Write(b)
}

// begin says that the runner has a call from now on, and no other.
func (p *printer) begin(m mark) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.call = m
}

// end takes a line that has begun for a whole one.
func (p *printer) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines.End()
}

// hear takes what the runner tells, which may be any bytes.
func (p *printer) hear(c *session.Call, told []byte) {
	t, err := lend.ReadTold(told)
	if err != nil {
		return
	}
	var m mark
	if c != nil {
		m = mark{c.Number, c.Key}
	} else {
		p.mu.Lock()
		m = p.call
		p.mu.Unlock()
	}
	p.output.put(p.entry(m, t))
}

func (p *printer) entry(m mark, t lend.Told) entry {
	return entry{Told: t, time: time.Now(), runner: p.runner, call: m}
}

// put has an entry delivered, or drops and counts it. What is told with it is copied.
func (o *output) put(e entry) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.missed += e.Dropped
	e.Dropped = 0
	switch {
	case e.Size() == 0: // it is only about those before it
	case o.full, o.stopped, o.bytes+e.size() > maxUnlogged:
		o.full = true
		o.missed++
	default:
		e.Told = e.Clone()
		e.missed, o.missed = o.missed, 0
		o.waiting, o.bytes = append(o.waiting, e), o.bytes+e.size()
	}
	if o.idle == nil && !o.stopped {
		o.idle = make(chan struct{})
		o.wg.Go(o.deliver)
	}
}

// deliver gives the logger what waits until nothing is left.
func (o *output) deliver() {
	for {
		e, missed, ok := o.next()
		if missed > 0 {
			o.warn(missed)
		}
		if !ok {
			return
		}
		o.log(&e)
	}
}

// next returns what is to be logged next, and how many were dropped before it. When nothing is left, deliver ends.
func (o *output) next() (e entry, missed int, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stopped {
		for _, e := range o.waiting {
			o.missed += e.missed + 1
		}
		o.waiting = nil
	}
	if len(o.waiting) == 0 {
		missed, o.missed = o.missed, 0
		if o.full, o.bytes = false, 0; missed == 0 {
			close(o.idle)
			o.idle = nil
		}
		return e, missed, missed > 0 // once more
	}
	e = o.waiting[0]
	o.waiting[0] = entry{}
	o.waiting, o.bytes = o.waiting[1:], o.bytes-e.size()
	o.full = o.full && o.bytes > maxUnlogged/2
	return e, e.missed, true
}

// log logs one entry.
func (o *output) log(e *entry) {
	if e.Size() == 0 {
		return
	}
	r, ok := e.Record()
	switch {
	case ok:
	case len(e.Line) == 0:
		return
	default:
		r = slog.NewRecord(e.time, slog.LevelInfo, lend.Escaped(string(e.Line)), 0)
		if e.More > 0 {
			r.Message += fmt.Sprintf(" … (cut: %d bytes more)", e.More)
		}
	}
	r.AddAttrs(slog.String("pool", o.pool.config.Name), slog.String("runner", e.runner))
	if e.call.number > 0 {
		r.AddAttrs(slog.Uint64("call", e.call.number), slog.String("function", functionName(e.call.key)))
	}
	o.guard(func(ctx context.Context, h slog.Handler) {
		if h.Enabled(ctx, r.Level) {
			_ = h.Handle(ctx, r) // a logger ignores it, too
		}
	})
}

// warn tells that lines and records were dropped.
func (o *output) warn(n int) {
	o.guard(func(context.Context, slog.Handler) {
		o.pool.config.Logger.Warn("flame: some of what runners printed and logged was dropped: it came faster than the logger took it",
			"pool", o.pool.config.Name, "lines", n)
	})
}

// guard uses the logger. One that panics must not end the parent.
func (o *output) guard(use func(context.Context, slog.Handler)) {
	defer func() { _ = recover() }()
	use(context.Background(), o.pool.config.Logger.Handler())
}

// end waits until what is left is delivered, but not for long: what the logger does not take then is dropped. It is
// called when nothing comes any more.
func (o *output) end() {
	if !o.wait() {
		o.wait() // it may have one more to log, and to tell of those that were dropped
	}
}

// wait waits for deliver, or has it stop. It says whether it has ended.
func (o *output) wait() bool {
	patience := time.NewTimer(lastOutput)
	defer patience.Stop()
	o.mu.Lock()
	idle := o.idle
	o.mu.Unlock()
	ended := idle == nil
	if !ended {
		select {
		case <-idle:
			ended = true
		case <-patience.C:
		}
	}
	o.mu.Lock()
	o.stopped = true
	o.mu.Unlock()
	if ended {
		o.wg.Wait()
	}
	return ended
}

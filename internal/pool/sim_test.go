package pool

import (
	"cmp"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"
)

// simulation is a state, many runners and many calls, in time that passes as fast as it can.
type simulation struct {
	testing.TB
	*rand.Rand
	s     *state
	now   time.Duration
	later timetable
	seen  []outcomes // of each call, by its number
	last  [2]uint64  // the call that was last given a slot, by priority
	here  map[*runner]*guests
	fleet []*runner // all that ever were
	most  int       // at a time
	left  int       // calls without an outcome
	over  map[string]int
}

// outcomes is what the simulation knows of a call.
type outcomes struct {
	n     uint8
	moved bool
}

// guests is the calls of a runner.
type guests struct {
	calls map[*Call]bool
	dead  bool
}

// appointment is something that happens at a time.
type appointment struct {
	at time.Duration
	do func()
}

// timetable is a heap of appointments: the first is the next one.
type timetable []appointment

func (t *timetable) add(at time.Duration, do func()) {
	h := append(*t, appointment{at, do})
	for i := len(h) - 1; i > 0 && h[(i-1)/2].at > h[i].at; i = (i - 1) / 2 {
		h[(i-1)/2], h[i] = h[i], h[(i-1)/2]
	}
	*t = h
}

func (t *timetable) take() func() {
	h := *t
	do := h[0].do
	h[0] = h[len(h)-1]
	h[len(h)-1].do = nil
	h = h[:len(h)-1]
	for i := 0; ; {
		child := 2*i + 1
		if child+1 < len(h) && h[child+1].at < h[child].at {
			child++
		}
		if child >= len(h) || h[i].at <= h[child].at {
			break
		}
		h[i], h[child] = h[child], h[i]
		i = child
	}
	*t = h
	return do
}

// simulate has calls of mixed length come to a pool of runners of which some do not boot, some die, and some are
// told to run what does not end. A third of the calls come at once. Every rule that an onlooker can check at once is.
func simulate(tb testing.TB, runners, calls int) *simulation {
	m := &simulation{
		TB: tb, Rand: rand.New(rand.NewPCG(12, 12)), now: 1, left: calls,
		seen: make([]outcomes, calls+1), here: map[*runner]*guests{}, over: map[string]int{},
	}
	n := 0
	m.s = newState(rules{
		min: runners / 100, max: runners, slots: 10, idleAfter: 10 * time.Second, headroom: runners / 100,
		grace: time.Second, lastGrace: 5 * time.Second, maxAge: 10 * time.Minute, jitter: m.Float64,
	}, func() string { n++; return strconv.Itoa(n) })
	m.event(func() { m.s.settle(m.now) })
	for i := range calls {
		at := m.now
		if i > calls/3 {
			at += time.Duration(m.Float64() * float64(30*time.Second))
		}
		m.later.add(at, m.arrive)
	}
	m.later.add(time.Second, m.crash)
	for m.left > 0 {
		m.step()
	}
	m.settleDown()
	return m
}

// step lets the next thing happen.
func (m *simulation) step() {
	due, ok := m.s.due()
	switch {
	case len(m.later) > 0 && (!ok || m.later[0].at <= due):
		m.now = max(m.now, m.later[0].at)
		m.later.take()()
	case ok:
		m.now = max(m.now, due)
		m.event(func() { m.s.tick(m.now) })
	default:
		m.Fatalf("nothing happens any more, and %d calls have no outcome", m.left)
	}
	if c := &m.s.count; c[booting]+c[ready]+c[draining] > m.s.max {
		m.Fatalf("%v runners, max is %d", c, m.s.max)
	}
	m.most = max(m.most, len(m.here))
}

func (m *simulation) event(decide func()) {
	decide()
	for _, a := range append([]action(nil), m.s.take()...) {
		m.do(a)
	}
}

func (m *simulation) do(a action) {
	switch r := a.r; a.kind {
	case boot:
		m.fleet = append(m.fleet, r)
		m.here[r] = &guests{calls: map[*Call]bool{}}
		m.later.add(m.now+time.Second+time.Duration(m.IntN(int(4*time.Second))), func() { m.boot(r) })
	case grant:
		m.granted(a.c, r)
	case fail, cut, part:
		if m.outcome(a.c, a.err); a.kind == cut && m.IntN(100) > 0 { // few are stubborn
			m.later.add(m.now+time.Millisecond, func() { m.finish(a.c) })
		}
	case retire:
		m.later.add(m.now+100*time.Millisecond, func() { m.gone(r) })
	case kill:
		m.later.add(m.now, func() { m.die(r) })
	}
}

func (m *simulation) arrive() {
	c := &Call{Priority: m.IntN(10) / 9, Retry: m.IntN(2)}
	if m.IntN(10) == 0 {
		c.deadline = m.now + time.Duration(m.IntN(int(20*time.Second)))
	}
	m.event(func() {
		if err := m.s.arrive(c, m.now); err != nil {
			m.Fatal(err)
		}
	})
	if m.IntN(100) == 0 {
		m.later.add(m.now+time.Duration(m.IntN(int(time.Second))), func() { m.event(func() { m.s.cancel(c, errGone, m.now) }) })
	}
}

// granted: only what is up has calls, only as many as it has slots, and who came first was first.
func (m *simulation) granted(c *Call, r *runner) {
	g := m.here[r]
	if g == nil || g.dead || r.stage != ready || len(g.calls) >= m.s.slots || m.seen[c.number].n > 0 {
		m.Fatalf("call %d got a slot of a runner in stage %v with %d calls", c.number, r.stage, len(g.calls))
	}
	if last := &m.last[c.Priority]; !m.seen[c.number].moved {
		if c.number < *last {
			m.Fatalf("call %d got a slot after call %d", c.number, *last)
		}
		*last = c.number
	}
	g.calls[c] = true
	lasts := []time.Duration{5 * time.Millisecond, 50 * time.Millisecond, 500 * time.Millisecond, 5 * time.Second}[m.IntN(4)]
	if m.IntN(20_000) == 0 {
		lasts = time.Hour
	}
	m.s.begin(c, m.now)
	m.later.add(m.now+time.Duration(m.Float64()*float64(2*lasts)), func() { m.finish(c) })
}

func (m *simulation) finish(c *Call) {
	r := c.runner
	if c.phase != granted || !m.here[r].calls[c] {
		return // it has ended otherwise
	}
	delete(m.here[r].calls, c)
	if !c.answered {
		m.outcome(c, nil)
	}
	m.event(func() { m.s.finish(c, nil, m.now) })
}

// outcome: each call has one, in time.
func (m *simulation) outcome(c *Call, err error) {
	if m.seen[c.number].n++; m.seen[c.number].n > 1 {
		m.Fatalf("call %d has two outcomes", c.number)
	}
	if c.deadline > 0 && m.now > c.deadline {
		m.Fatalf("call %d has its outcome %v late", c.number, m.now-c.deadline)
	}
	m.left--
	switch {
	case err == nil:
		m.over["ok"]++
	case errors.Is(err, errDeadline):
		m.over["late"]++
	default:
		m.over[err.Error()]++
	}
}

func (m *simulation) boot(r *runner) {
	if m.here[r] == nil || r.stage != booting {
		return
	}
	if m.IntN(20) > 0 {
		m.event(func() { m.s.up(r, m.now) })
		return
	}
	delete(m.here, r)
	m.event(func() { m.s.bootFailed(r, errBootless, m.now) })
}

// crash has a runner die, and another one soon.
func (m *simulation) crash() {
	if r := m.fleet[m.IntN(len(m.fleet))]; r.stage == ready {
		m.die(r)
	}
	if m.left > 0 {
		m.later.add(m.now+50*time.Millisecond, m.crash)
	}
}

func (m *simulation) die(r *runner) {
	g := m.here[r]
	if g == nil || g.dead {
		return
	}
	g.dead = true
	m.event(func() { m.s.died(r, m.now) })
	for _, c := range slices.SortedFunc(maps.Keys(g.calls), func(a, b *Call) int { return cmp.Compare(a.number, b.number) }) {
		m.lose(c)
	}
	clear(g.calls)
	m.later.add(m.now+100*time.Millisecond, func() { m.gone(r) })
}

func (m *simulation) lose(c *Call) {
	answered, again := c.answered, false
	m.seen[c.number].moved = true
	m.event(func() { again = m.s.lose(c, m.now) })
	if !again && !answered {
		m.outcome(c, errors.New("lost"))
	}
}

// gone: nothing is stopped that has calls.
func (m *simulation) gone(r *runner) {
	g := m.here[r]
	if g == nil {
		return
	}
	if len(g.calls) > 0 {
		m.Fatalf("a runner with %d calls was stopped", len(g.calls))
	}
	delete(m.here, r)
	m.event(func() { m.s.ended(r, nil, m.now) })
}

// settleDown lets the pool shrink to min, and then end. Stats agree with what was seen.
func (m *simulation) settleDown() {
	for end := m.now + 15*time.Minute; m.now < end; {
		m.step()
	}
	if up := m.s.count[ready] + m.s.count[booting]; up < m.s.min || m.s.free.slots < m.s.headroom {
		m.Errorf("%d runners with %d free slots at rest, min is %d, headroom %d", up, m.s.free.slots, m.s.min, m.s.headroom)
	}
	m.event(func() { m.s.shut(m.now) })
	for len(m.here) > 0 {
		m.step()
	}
	s := m.s.stats(m.now)
	if s.Booting+s.Ready+s.Draining+s.Running+s.Waiting != 0 || s.Arrived != uint64(len(m.seen)-1) || s.Boots != s.BootsFailed+s.Gone {
		m.Errorf("when all is over: %+v", s)
	}
	for i, o := range m.seen[1:] {
		if o.n != 1 {
			m.Fatalf("call %d has %d outcomes", i+1, o.n)
		}
	}
}

func TestP12_NoRuleIsBrokenInALargePool(t *testing.T) {
	m := simulate(t, 300, 30_000)
	t.Logf("%v of virtual time, at most %d runners, %v", m.now.Round(time.Second), m.most, m.over)
	for _, what := range []string{"ok", "late", "lost", errGone.Error()} {
		if m.over[what] == 0 {
			t.Errorf("no call was %s", what)
		}
	}
}

// BenchmarkP12_Simulated lives minutes of a pool of 10,000 runners and a million calls.
func BenchmarkP12_Simulated(b *testing.B) {
	for b.Loop() {
		m := simulate(b, 10_000, 1_000_000)
		b.ReportMetric(m.now.Seconds(), "virtual-s")
		b.ReportMetric(float64(m.most), "runners")
		b.ReportMetric(float64(m.over["ok"]), "ok")
		b.ReportMetric(float64(m.over["late"]), "late")
		b.ReportMetric(float64(m.over["lost"]), "lost")
	}
}

// Package load is a mixed load on a pool: calls, casts, streams, channels, maps, placed work and results that stay on their
// runner, as a program would have them, all at random. Each outcome is held against what its function really did. What else
// happens to the pool meanwhile is for whoever uses this to arrange.
package load

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/fleetinglambda/flame"
)

// Load is what goes on on one pool. Begin and the time of what it begins are chosen by one goroutine; Expect and Fail may be
// called by any.
type Load struct {
	Pool    *flame.Pool
	Journal *Journal // declared with PerProcess
	Rand    *rand.Rand
	Timeout time.Duration // the pool's
	Longest time.Duration // that a function takes, even if it does not heed its context
	Grid    time.Duration // all times are multiples of it
	// Prompt says that nothing slows calls down: a call whose function still runs long after it should be over hangs.
	Prompt bool
	// Stubborn has some functions ignore that their context has ended. Their runners are killed for it: expect Loss.
	Stubborn bool
	Slack    time.Duration // by how much a caller may wait beyond its deadline

	acts   sync.WaitGroup
	number int

	mu     sync.Mutex // guards what follows
	expect Trouble
	told   map[int]verdict // by act
	counts map[string]int  // outcomes by kind
	wrong  []string
}

// Trouble says what may become of calls besides what is planned for them.
type Trouble uint

// The troubles that a pool may have.
const (
	Loss    Trouble = 1 << iota // runners may be lost
	NoBoot                      // boots may fail
	Closing                     // the pool is being closed
)

// Expect says that there is trouble from now on.
func (l *Load) Expect(t Trouble) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expect |= t
}

// verdict is what the caller of an act was told: whether its function may have run.
type verdict struct {
	ran     bool
	retries int
	err     error
}

// acts are what callers do. What stands twice is done twice as often.
var acts = []struct {
	name string
	play func(*Load, trial)
}{
	{"call", call},
	{"call", call},
	{"fail", fail},
	{"echo", echo},
	{"read", read},
	{"write", write},
	{"send", send},
	{"receive", receive},
	{"cast", cast},
	{"place", place},
	{"spread", spread},
	{"hold", hold},
	{"task", task},
}

// Begin begins an act.
func (l *Load) Begin() {
	tr := l.trial()
	act := acts[l.Rand.IntN(len(acts))]
	tr.what = act.name
	l.mu.Lock()
	if l.told == nil {
		l.told, l.counts = make(map[int]verdict), make(map[string]int)
	}
	l.mu.Unlock()
	l.acts.Go(func() { act.play(l, tr) })
}

// Wait returns when all acts are over.
func (l *Load) Wait() { l.acts.Wait() }

// Fail notes something that must not be.
func (l *Load) Fail(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong = append(l.wrong, fmt.Sprintf(format, args...))
}

// Outcomes returns how many acts ended how, and what was wrong, with starts: how often the function of each act was started.
// It is called when all acts are over and no function runs any more.
func (l *Load) Outcomes(starts map[int]int) (counts map[string]int, wrong []string) {
	for act, v := range l.told {
		switch n := starts[act]; {
		case n > 0 && !v.ran:
			l.Fail("act %d: its caller was told that it did not run (%v), and it did", act, v.err)
		case n > 1+v.retries:
			l.Fail("act %d: it ran %d times, with %d retries", act, n, v.retries)
		}
	}
	return l.counts, l.wrong
}

// UpTo returns a time on the grid.
func (l *Load) UpTo(most time.Duration) time.Duration {
	return time.Duration(l.Rand.Int64N(int64(most/l.Grid)+1)) * l.Grid
}

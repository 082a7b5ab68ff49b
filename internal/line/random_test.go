package line

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var schedules = flag.Uint64("schedules", 600, "how many random schedules to try")

// ending is what became of one end of a line: what it has read, and when and why it was over.
type ending struct {
	got  []byte
	at   time.Time
	err  error
	sent []byte
}

// TestN05_AnyScheduleOfFaultsEndsTheSameAtBothEnds has random things happen to connections for a while. What is read is what
// was written, from its beginning; nothing is missing unless the line is lost, and then it is at both ends.
func TestN05_AnyScheduleOfFaultsEndsTheSameAtBothEnds(t *testing.T) {
	survived, lost := 0, 0
	for seed := range *schedules {
		synctest.Test(t, func(t *testing.T) {
			is, err := schedule(t, seed)
			if err != nil {
				t.Fatalf("schedule %d: %v", seed, err)
			}
			if is {
				lost++
			} else {
				survived++
			}
		})
	}
	if t.Logf("%d lines survived, %d were lost", survived, lost); survived < 50 || lost < 50 {
		t.Error("that is too few of one kind")
	}
}

func schedule(t *testing.T, seed uint64) (lost bool, err error) {
	r := rand.New(rand.NewPCG(seed, 5))
	w := &world{cut: func(n int) []int { return nil }}
	most := 1 << (7 + r.IntN(12))
	if r.IntN(2) == 0 {
		own := rand.New(rand.NewPCG(seed, 6))
		w.cut = func(int) []int { return []int{most + own.IntN(most), most + own.IntN(most)} }
	}
	w.connect(t, usual)
	ends := [2]ending{{sent: pattern(r.IntN(200_000))}, {sent: pattern(r.IntN(200_000))}}
	var all sync.WaitGroup
	for i, l := range []*Line{w.near, w.far} {
		pace := time.Duration(r.IntN(50)) * time.Millisecond
		all.Go(func() { trickle(l, ends[i].sent, pace) })
		all.Go(func() {
			ends[i].got, ends[i].err = io.ReadAll(l)
			ends[i].at = time.Now()
		})
	}
	harmless := w.suffer(r) && most >= 2*carried
	last := time.Now()
	for range 40 { // what is on its way may arrive, and who is to be lost is
		time.Sleep(time.Second)
	}
	lost = w.near.Err() != nil || w.far.Err() != nil
	w.close()
	all.Wait()
	if harmless && lost {
		return lost, fmt.Errorf("nothing but cuts, and it is lost: %w, %w", ends[0].err, ends[1].err)
	}
	return lost, verdict(ends, lost, last)
}

// suffer has faults happen for some time, and ends them. It says whether they were nothing but cuts.
func (w *world) suffer(r *rand.Rand) (harmless bool) {
	harmless = true
	kinds := 2 + 4*r.IntN(2)
	for range r.IntN(12) {
		time.Sleep(time.Duration(r.IntN(4000)) * time.Millisecond)
		kind := r.IntN(kinds)
		harmless = harmless && kind < 2
		switch kind {
		case 0, 1:
			w.plug(true) // a cut
		case 2:
			w.plug(false)
			time.Sleep(time.Duration(r.IntN(11_000)) * time.Millisecond)
		case 3, 4:
			w.swallow(r.IntN(2)) // says nothing any more, in one direction
		default:
			w.mu.Lock()
			w.swallows = !w.swallows
			w.mu.Unlock()
		}
	}
	w.mu.Lock()
	w.swallows, w.unplugged = false, false
	w.cut = func(int) []int { return nil }
	w.mu.Unlock()
	return harmless
}

// verdict says what is wrong with how both ended.
func verdict(ends [2]ending, lost bool, last time.Time) error {
	for i, e := range ends {
		other := ends[1-i].sent
		if !bytes.HasPrefix(other, e.got) {
			return fmt.Errorf("end %d has read %d bytes that were not written", i, len(e.got))
		}
		if !lost && len(e.got) != len(other) {
			return fmt.Errorf("end %d has read %d bytes of %d: %w", i, len(e.got), len(other), e.err)
		}
		if errors.Is(e.err, ErrCorrupt) {
			return fmt.Errorf("end %d: %w", i, e.err)
		}
	}
	if apart := ends[0].at.Sub(ends[1].at).Abs(); lost && apart > usual.Silence+usual.Window {
		return fmt.Errorf("one end was over %v before the other, %v after the last fault", apart, ends[0].at.Sub(last))
	}
	return nil
}

// trickle writes b, a piece now and then, until the line is over.
func trickle(l *Line, b []byte, pace time.Duration) {
	for len(b) > 0 {
		n := min(len(b), 1+len(b)/3)
		if _, err := l.Write(b[:n]); err != nil {
			return
		}
		b = b[n:]
		time.Sleep(pace)
	}
}

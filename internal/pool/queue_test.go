package pool

import (
	"math/rand/v2"
	"testing"
)

// TestLeastLoadedAmongManySlots compares with a look at every runner, for loads of more than one word of bits.
func TestLeastLoadedAmongManySlots(t *testing.T) {
	const slots = 200
	g, r := newRings(slots), rand.New(rand.NewPCG(1, 2))
	runners := make([]*runner, 5)
	for i := range runners {
		runners[i] = &runner{load: r.IntN(slots + 1)}
		g.add(runners[i])
	}
	for range 10_000 {
		moved := runners[r.IntN(len(runners))]
		g.remove(moved)
		moved.load = min(slots, r.IntN(3*slots)) // often full
		g.add(moved)
		least := slots
		for _, one := range runners {
			least = min(least, one.load)
		}
		switch got := g.leastLoaded(); {
		case got == nil && least < slots, got != nil && got.load != least:
			t.Fatalf("the least load is %d, got %+v", least, got)
		}
	}
}

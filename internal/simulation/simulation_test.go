package simulation

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/fleetinglambda/flame/flametest"
)

var (
	lives = flag.Int("lives", 200, "how many lives are played")
	first = flag.Uint64("seed", 1, "the seed of the first")
)

func TestMain(m *testing.M) { flametest.Main(m) }

func TestWhateverHappensEveryCallHasOneTrueOutcome(t *testing.T) {
	all := make(map[string]int)
	for seed := *first; seed < *first+uint64(*lives) && !t.Failed(); seed++ {
		synctest.Test(t, func(t *testing.T) {
			wrong, counts := play(t, seed)
			for kind, n := range counts {
				all[kind] += n
			}
			if len(wrong) > 0 {
				t.Errorf("go test ./internal/simulation -lives 1 -seed %d:\n%s", seed, strings.Join(wrong, "\n"))
			}
		})
	}
	var said []string
	for _, kind := range slices.Sorted(maps.Keys(all)) {
		said = append(said, fmt.Sprintf("%d %s", all[kind], kind))
	}
	t.Logf("%d lives: %s", *lives, strings.Join(said, ", "))
}

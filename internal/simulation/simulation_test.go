package simulation

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
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

// TestWhateverHappensEveryCallHasOneTrueOutcome plays the lives in which something was once wrong, and then others.
func TestWhateverHappensEveryCallHasOneTrueOutcome(t *testing.T) {
	all := make(map[string]int)
	seeds := append(onceWrong(t), *first)
	for seeds[len(seeds)-1] < *first+uint64(*lives)-1 {
		seeds = append(seeds, seeds[len(seeds)-1]+1)
	}
	for _, seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			counts, wrong := play(t, seed)
			for kind, n := range counts {
				all[kind] += n
			}
			if len(wrong) > 0 {
				t.Errorf("go test ./internal/simulation -lives 1 -seed %d:\n%s", seed, strings.Join(wrong, "\n"))
			}
		})
		if t.Failed() {
			return
		}
	}
	var said []string
	for _, kind := range slices.Sorted(maps.Keys(all)) {
		said = append(said, fmt.Sprintf("%d %s", all[kind], kind))
	}
	t.Logf("%d lives: %s", len(seeds), strings.Join(said, ", "))
}

// again is how often a life is played in which something was once wrong: what happens at one instant happens in any order.
const again = 10

// onceWrong returns the seeds of lives in which something was once wrong. Whoever changes what a seed means has to find others.
func onceWrong(t *testing.T) (seeds []uint64) {
	t.Helper()
	text, err := os.ReadFile("testdata/seeds")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		number, _, _ := strings.Cut(line, " ")
		seed, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seeds = append(seeds, slices.Repeat([]uint64{seed}, again)...)
	}
	return seeds
}

package bench

import (
	"testing"

	"github.com/fleetinglambda/flame"
)

// BenchmarkP13_PerCall is a warm empty call that has a process for itself, beside one that shares its runner's: the
// median of a round.
func BenchmarkP13_PerCall(b *testing.B) { besideShared(b, halfway) }

// BenchmarkP13_Least is the same by the shortest call of a round.
func BenchmarkP13_Least(b *testing.B) { besideShared(b, shortest) }

func besideShared(b *testing.B, f figure) {
	b.Helper()
	contest{
		unit: "us", rounds: 25,
		sides: []side{
			f.turn(b, "a process each", empty(onePool(b, flame.Config{Isolation: flame.PerCall}))),
			f.turn(b, "a shared one", ours(b)),
		},
		bars: []bar{{ours: "a process each", reference: "a shared one", most: 2.5}},
	}.run(b)
}

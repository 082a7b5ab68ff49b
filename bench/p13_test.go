package bench

import (
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
)

// BenchmarkP13_PerCall is a warm empty call that has a process for itself, beside one that shares its runner's: the
// median of a round.
func BenchmarkP13_PerCall(b *testing.B) {
	besideShared(b, func(call remote) time.Duration {
		p50, _ := latency(b, call, calls)
		return p50
	})
}

// BenchmarkP13_Least is the same by the shortest call of a round.
func BenchmarkP13_Least(b *testing.B) {
	besideShared(b, func(call remote) time.Duration {
		_, least := latency(b, call, calls)
		return least
	})
}

func besideShared(b *testing.B, figure func(remote) time.Duration) {
	b.Helper()
	turn := func(name string, call remote) side {
		return side{name, func() float64 { return float64(figure(call).Nanoseconds()) / 1e3 }}
	}
	contest{
		unit: "us", rounds: 25,
		sides: []side{
			turn("a process each", empty(onePool(b, flame.Config{Isolation: flame.PerCall}))),
			turn("a shared one", ours(b)),
		},
		bars: []bar{{ours: "a process each", reference: "a shared one", most: 2.5}},
	}.run(b)
}

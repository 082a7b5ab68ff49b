package bench

import (
	"testing"
	"time"
)

// calls is how many calls make a turn. Short turns and many rounds: how long it takes to wake the other process
// depends on where it sleeps, and that lasts for a while.
const calls = 1000

// BenchmarkP01_OneCaller is a warm empty call with one caller: the median of a round.
func BenchmarkP01_OneCaller(b *testing.B) {
	oneCaller(b, func(call remote) time.Duration {
		p50, _ := latency(b, call, calls)
		return p50
	})
}

// BenchmarkP01_Least is the same by the shortest call of a round. Waking an idle core, which costs more
// than anything else here and differs from moment to moment, hardly disturbs it.
func BenchmarkP01_Least(b *testing.B) {
	oneCaller(b, func(call remote) time.Duration {
		_, least := latency(b, call, calls)
		return least
	})
}

func oneCaller(b *testing.B, figure func(remote) time.Duration) {
	b.Helper()
	turn := func(name string, call remote) side {
		return side{name, func() float64 { return float64(figure(call).Nanoseconds()) / 1e3 }}
	}
	contest{
		unit: "us", rounds: 25,
		sides: []side{
			turn("ours", ours(b)),
			turn("raw frames", rawAlone(b)),
			turn("raw frames, blocking", rawBlocking(b)),
			turn("raw frames with ids", rawShared(b)),
			turn("net/rpc", netRPC(b)),
			turn("grpc", gRPC(b)),
		},
		bars: []bar{
			{ours: "ours", reference: "raw frames", most: 2.5},
			{ours: "ours", reference: "grpc", most: 0.5},
		},
	}.run(b)
}

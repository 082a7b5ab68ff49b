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
	oneCaller(b, halfway)
}

// BenchmarkP01_Least is the same by the shortest call of a round. Waking an idle core, which costs more
// than anything else here and differs from moment to moment, hardly disturbs it.
func BenchmarkP01_Least(b *testing.B) {
	oneCaller(b, shortest)
}

// A figure is what counts of a round of calls.
type figure func(p50, least time.Duration) time.Duration

func halfway(p50, _ time.Duration) time.Duration    { return p50 }
func shortest(_, least time.Duration) time.Duration { return least }

// turn is a side that calls one after the other, in microseconds.
func (f figure) turn(b *testing.B, name string, call remote) side {
	return side{name, func() float64 { return float64(f(latency(b, call, calls)).Nanoseconds()) / 1e3 }}
}

func oneCaller(b *testing.B, f figure) {
	b.Helper()
	contest{
		unit: "us", rounds: 25,
		sides: []side{
			f.turn(b, "ours", ours(b)),
			f.turn(b, "raw frames", rawAlone(b)),
			f.turn(b, "raw frames, blocking", rawBlocking(b)),
			f.turn(b, "raw frames with ids", rawShared(b)),
			f.turn(b, "net/rpc", netRPC(b)),
			f.turn(b, "grpc", gRPC(b)),
		},
		bars: []bar{
			{ours: "ours", reference: "raw frames", most: 2.5},
			{ours: "ours", reference: "grpc", most: 0.5},
		},
	}.run(b)
}

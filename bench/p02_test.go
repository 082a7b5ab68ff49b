package bench

import (
	"testing"
	"time"
)

// BenchmarkP02_64Callers is empty calls of 64 callers, over one connection to one process.
func BenchmarkP02_64Callers(b *testing.B) {
	turn := func(name string, call remote) side {
		return side{name, func() float64 { return rate(b, call, 64, 500*time.Millisecond) }}
	}
	contest{
		unit: "calls/s", rounds: 9,
		sides: []side{
			turn("ours", ours(b)),
			turn("raw frames with ids", rawShared(b)),
			turn("net/rpc", netRPC(b)),
			turn("grpc", gRPC(b)),
		},
		bars: []bar{
			{ours: "ours", reference: "raw frames with ids", least: 0.7},
			{ours: "ours", reference: "net/rpc", least: 1},
			{ours: "ours", reference: "grpc", least: 2},
		},
	}.run(b)
}

package bench

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
)

// waiting is how many calls wait at once.
const waiting = 10_000

// BenchmarkP08_Queue has many calls started at once on one runner with 100 slots, beside 64 callers who call one after the other.
func BenchmarkP08_Queue(b *testing.B) {
	p := onePool(b, flame.Config{MaxConcurrency: 100, MaxQueue: waiting})
	direct := ours(b)
	contest{
		unit: "calls/s", rounds: 9,
		sides: []side{
			{"from the line", func() float64 { return drained(b, p) }},
			{"64 callers", func() float64 { return rate(b, direct, 64, 500*time.Millisecond) }},
		},
		bars: []bar{{ours: "from the line", reference: "64 callers", least: 0.8}},
	}.run(b)
}

// BenchmarkP08_Bytes is what a call that waits takes up in the parent, all that it allocates.
func BenchmarkP08_Bytes(b *testing.B) {
	p := onePool(b, flame.Config{MaxConcurrency: 1, MaxQueue: waiting})
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	flame.Start(ctx, p, func(ctx context.Context) (struct{}, error) { <-ctx.Done(); return struct{}{}, nil }, flame.Timeout(-1))
	for b.Loop() {
		tasks := make([]*flame.Task[struct{}], waiting-1)
		before := heap()
		for i := range tasks {
			tasks[i] = flame.Start(context.Background(), p, func(context.Context) (struct{}, error) { return struct{}{}, nil })
		}
		b.ReportMetric(float64(heap()-before)/float64(len(tasks)), "B/call")
		for _, t := range tasks {
			t.Cancel()
		}
	}
	b.ReportMetric(0, "ns/op")
}

// heap is how many bytes are in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// drained starts many calls and returns how many have ended each second.
func drained(b *testing.B, p *flame.Pool) float64 {
	b.Helper()
	begun := time.Now()
	tasks := make([]*flame.Task[struct{}], waiting)
	for i := range tasks {
		tasks[i] = flame.Start(context.Background(), p, func(context.Context) (struct{}, error) { return struct{}{}, nil })
	}
	for _, t := range tasks {
		if _, err := t.Wait(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	return waiting / time.Since(begun).Seconds()
}

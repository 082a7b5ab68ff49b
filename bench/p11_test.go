package bench

import (
	"context"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
)

// mapped is how many inputs a Map has.
const mapped = 100_000

// BenchmarkP11_Map is a Map over many small inputs, in order and not, beside 64 callers of empty calls.
func BenchmarkP11_Map(b *testing.B) {
	p := onePool(b, flame.Config{})
	direct := empty(p)
	contest{
		unit: "calls/s", rounds: 9,
		sides: []side{
			{"in order", func() float64 { return items(b, p) }},
			{"unordered", func() float64 { return items(b, p, flame.Unordered()) }},
			{"64 callers", func() float64 { return rate(b, direct, 64, 500*time.Millisecond) }},
		},
		bars: []bar{
			{ours: "in order", reference: "64 callers", least: 0.8},
			{ours: "unordered", reference: "64 callers", least: 0.8},
		},
	}.run(b)
}

// items returns how many inputs of a Map are over each second.
func items(b *testing.B, p *flame.Pool, opts ...flame.Option) float64 {
	b.Helper()
	inputs := func(yield func(int) bool) {
		for i := range mapped {
			if !yield(i) {
				return
			}
		}
	}
	begun, n := time.Now(), 0
	for _, err := range flame.Map(context.Background(), p, inputs, func(_ context.Context, i int) (int, error) { return i, nil }, opts...) {
		if n++; err != nil {
			b.Fatal(err)
		}
	}
	if n != mapped {
		b.Fatalf("%d items of %d", n, mapped)
	}
	return mapped / time.Since(begun).Seconds()
}

//go:build linux

package flame_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
)

// BenchmarkP11_Map compares a Map over 100,000 small inputs with 64 callers of empty calls, in turn.
func BenchmarkP11_Map(b *testing.B) {
	p, err := flame.Open(b.Context(), flame.Config{Min: 1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	const items = 100_000
	var calls, inOrder, unordered float64
	rounds := 0
	rate := func(begun time.Time) float64 { return items / time.Since(begun).Seconds() }
	for b.Loop() {
		rounds++
		begun := time.Now()
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				for range items / 64 {
					if _, err := flame.Call(context.Background(), p, func(context.Context) (struct{}, error) { return struct{}{}, nil }); err != nil {
						b.Error(err)
					}
				}
			})
		}
		wg.Wait()
		calls = max(calls, rate(begun))
		for _, opts := range [][]flame.Option{nil, {flame.Unordered()}} {
			begun, n := time.Now(), 0
			for _, err := range flame.Map(context.Background(), p, upTo(items), func(_ context.Context, n int) (int, error) { return n, nil }, opts...) {
				if n++; err != nil {
					b.Fatal(err)
				}
			}
			if n != items {
				b.Fatal(fmt.Errorf("%d items", n))
			}
			if opts == nil {
				inOrder = max(inOrder, rate(begun))
			} else {
				unordered = max(unordered, rate(begun))
			}
		}
	}
	b.ReportMetric(calls, "calls/s")
	b.ReportMetric(inOrder, "items/s")
	b.ReportMetric(inOrder/calls, "x-in-order")
	b.ReportMetric(unordered/calls, "x-unordered")
}

package bench

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// latency calls n times, one after the other, and returns how long the middle one took, and the shortest.
func latency(tb testing.TB, call remote, n int) (p50, least time.Duration) {
	tb.Helper()
	took := make([]time.Duration, n)
	for i := range took {
		begun := time.Now()
		if err := call(); err != nil {
			tb.Fatal(err)
		}
		took[i] = time.Since(begun)
	}
	slices.Sort(took)
	return took[n/2], took[0]
}

// rate lets callers call for a while and returns the calls per second.
func rate(tb testing.TB, call remote, callers int, during time.Duration) float64 {
	tb.Helper()
	var wg sync.WaitGroup
	var over atomic.Bool
	var calls atomic.Int64
	begun := time.Now()
	for range callers {
		wg.Go(func() {
			n := int64(0)
			for ; !over.Load(); n++ {
				if err := call(); err != nil {
					tb.Error(err)
					return
				}
			}
			calls.Add(n)
		})
	}
	<-time.After(during)
	over.Store(true)
	wg.Wait()
	return float64(calls.Load()) / time.Since(begun).Seconds()
}

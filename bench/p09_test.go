package bench

import (
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
)

// BenchmarkP09_BesideAStream is the 99th percentile of empty calls while a file of 1 GiB is read through a captured
// io.Reader on the same session, beside that of calls that have the session for themselves.
func BenchmarkP09_BesideAStream(b *testing.B) {
	file := cached(b, streamed)
	p := onePool(b, flame.Config{MaxConcurrency: 8})
	call := empty(p)
	contest{
		unit: "us", rounds: 9,
		sides: []side{
			{"beside a stream", func() float64 { return besideStream(b, p, file, call) }},
			{"alone", func() float64 { return slowest(b, call, func(n int) bool { return n == 5*calls }) }},
		},
		bars: []bar{{ours: "beside a stream", reference: "alone", most: 10}},
	}.run(b)
}

// besideStream calls for as long as a function on p reads the file.
func besideStream(tb testing.TB, p *flame.Pool, file *os.File, call remote) float64 {
	tb.Helper()
	var wg sync.WaitGroup
	var over atomic.Bool
	wg.Go(func() {
		defer over.Store(true)
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			tb.Error(err)
		}
		if _, err := hashOnRunner(p, file); err != nil {
			tb.Error(err)
		}
	})
	defer wg.Wait()
	return slowest(tb, call, func(int) bool { return over.Load() })
}

// slowest calls until over and returns the 99th percentile in microseconds.
func slowest(tb testing.TB, call remote, over func(n int) bool) float64 {
	tb.Helper()
	var took []time.Duration
	for !over(len(took)) {
		begun := time.Now()
		if err := call(); err != nil {
			tb.Fatal(err)
		}
		took = append(took, time.Since(begun))
	}
	if len(took) < 100 {
		tb.Fatalf("%d calls have no 99th percentile", len(took))
	}
	slices.Sort(took)
	return float64(took[len(took)*99/100].Nanoseconds()) / 1e3
}

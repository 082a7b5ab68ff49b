package bench

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/bench/frames"
)

// BenchmarkP03_Bytes is a []byte that a function has captured and returns, beside the same bytes sent and sent back.
// Every call of ours has new memory on both sides, since it belongs to the program from then on. One reference uses the
// same memory again and again; the other has new memory, too, and shows what that costs.
func BenchmarkP03_Bytes(b *testing.B) {
	for _, c := range []struct {
		name   string
		size   int
		calls  int // that make a turn
		rounds int
	}{
		{"64KiB", 64 << 10, 400, 15},
		{"1MiB", 1 << 20, 60, 15},
		{"64MiB", 64 << 20, 3, 9},
	} {
		b.Run(c.name, func(b *testing.B) {
			payload := noise(c.size)
			p := onePool(b, flame.Config{})
			raw := frames.NewBytes(bootBlocking(b, "bytes"))
			fresh := frames.NewBytes(bootBlocking(b, "fresh"))
			fresh.Fresh = true
			turn := func(name string, call func([]byte) ([]byte, error)) side {
				thereAndBack(b, payload, 2*c.calls, call) // the first have memory that nobody has had before
				return side{name, func() float64 { return thereAndBack(b, payload, c.calls, call) }}
			}
			contest{
				unit: "MB/s", rounds: c.rounds,
				sides: []side{
					turn("ours", callBytes(p)), turn("raw bytes", raw.Call), turn("raw bytes, new memory", fresh.Call),
				},
				bars: []bar{
					{ours: "ours", reference: "raw bytes", least: 0.8},
					{ours: "ours", reference: "raw bytes, new memory", least: 0.8},
				},
			}.run(b)
		})
	}
}

// BenchmarkP03_Memory is how much the two processes grow while 64 MiB go there and back.
func BenchmarkP03_Memory(b *testing.B) {
	const size = 64 << 20
	p := onePool(b, flame.Config{})
	runner := runnerOf(b, p)
	for b.Loop() {
		var here, there []float64
		for range 5 {
			payload := noise(size)
			tidy(b, p)
			parent, child := peakOf(b, os.Getpid()), peakOf(b, runner)
			thereAndBack(b, payload, 1, callBytes(p))
			here = append(here, float64(parent()+size)/size) // the payload was there before
			there = append(there, float64(child())/size)
		}
		report(b, "parent, payloads", "x", here, 3)
		report(b, "runner, payloads", "x", there, 3)
	}
	b.ReportMetric(0, "ns/op")
}

// noise is bytes of which no two pages are alike.
func noise(size int) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// callBytes has a runner return what its function has captured.
func callBytes(p *flame.Pool) func([]byte) ([]byte, error) {
	return func(b []byte) ([]byte, error) {
		return flame.Call(context.Background(), p, func(context.Context) ([]byte, error) { return b, nil })
	}
}

// thereAndBack has payload sent and sent back n times, and returns the MB per second, there and back counted once.
func thereAndBack(tb testing.TB, payload []byte, n int, call func([]byte) ([]byte, error)) float64 {
	tb.Helper()
	begun := time.Now()
	var back []byte
	for range n {
		var err error
		if back, err = call(payload); err != nil {
			tb.Fatal(err)
		}
	}
	took := time.Since(begun)
	if !bytes.Equal(back, payload) {
		tb.Fatal("other bytes have come back")
	}
	return float64(n) * float64(len(payload)) / 1e6 / took.Seconds()
}

// runnerOf returns the process id of the pool's runner.
func runnerOf(tb testing.TB, p *flame.Pool) int {
	tb.Helper()
	pid, err := flame.Call(tb.Context(), p, func(context.Context) (int, error) { return os.Getpid(), nil })
	if err != nil {
		tb.Fatal(err)
	}
	return pid
}

// tidy gives memory that nothing uses back to the system, here and on the runner.
func tidy(tb testing.TB, p *flame.Pool) {
	tb.Helper()
	debug.FreeOSMemory()
	_, err := flame.Call(tb.Context(), p, func(context.Context) (struct{}, error) {
		debug.FreeOSMemory()
		return struct{}{}, nil
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// peakOf returns a function that says how many bytes more than now a process has had since at its most.
func peakOf(tb testing.TB, pid int) func() int {
	tb.Helper()
	status := fmt.Sprintf("/proc/%d/status", pid)
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil { // forgets the peak
		tb.Fatal(err)
	}
	before := number(tb, rssLine, status)
	return func() int { return (number(tb, peakLine, status) - before) << 10 }
}

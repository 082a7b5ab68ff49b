//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// sight is what this process has at one time.
type sight struct {
	at                           time.Duration
	goroutines, files, processes int
	heap                         uint64 // in use after a collection, bytes
}

func look() sight {
	runtime.GC()
	runtime.GC() // what has a cleanup goes with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	files, _ := filepath.Glob("/proc/self/fd/*")
	return sight{goroutines: runtime.NumGoroutine(), files: len(files), processes: children(), heap: m.HeapAlloc}
}

// children counts the processes that this one has started and that are there, dead ones included.
func children() (n int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		if f := strings.Fields(rest); len(f) > 1 && f[1] == strconv.Itoa(os.Getpid()) {
			n++
		}
	}
	return n
}

// watch looks now and then.
type watch struct{ seen []sight }

func (w *watch) run(ctx context.Context, long time.Duration) {
	begun := time.Now()
	tick := time.NewTicker(max(long/60, time.Second))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s := look()
			s.at = time.Since(begun)
			w.seen = append(w.seen, s)
		}
	}
}

// growth returns by how many bytes the heap grew in the second half, by least squares, and how long that was.
func (w *watch) growth() (float64, time.Duration) {
	seen := w.seen[len(w.seen)/2:]
	if len(seen) < 3 {
		return 0, 0
	}
	var n, x, y, xx, xy float64
	for _, s := range seen {
		at, heap := s.at.Seconds(), float64(s.heap)
		n, x, y, xx, xy = n+1, x+at, y+heap, xx+at*at, xy+at*heap
	}
	took := seen[len(seen)-1].at - seen[0].at
	return (n*xy - x*y) / (n*xx - x*x) * took.Seconds(), took
}

// sumUp prints what is left when all pools are closed, and returns how much of it must not be.
func (w *watch) sumUp(base sight, pools []*soaked) (wrong int) {
	calls := 0
	for _, s := range pools {
		for _, n := range s.counts {
			calls += n
		}
	}
	end := look()
	for range 50 { // what the runtime itself closes takes a moment
		if end.goroutines <= base.goroutines && end.files <= base.files {
			break
		}
		<-time.After(100 * time.Millisecond)
		end = look()
	}
	fmt.Printf("\nin all %d calls\n", calls)
	fmt.Printf("left: %d goroutines, %d descriptors, %d processes\n", end.goroutines-base.goroutines, end.files-base.files, end.processes)
	grew, in := w.growth()
	fmt.Printf("heap: %d KiB before, %d KiB after; in the last %v of the load it grew by %.0f KiB\n", base.heap>>10, end.heap>>10, in.Round(time.Second), grew/1024)
	if end.goroutines > base.goroutines {
		stacks := make([]byte, 1<<20)
		fmt.Printf("%s\n", stacks[:runtime.Stack(stacks, true)])
	}
	return max(0, end.goroutines-base.goroutines) + max(0, end.files-base.files-1) + end.processes
}

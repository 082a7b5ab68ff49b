package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"
)

// watched is how long an idle process is watched.
const watched = 5 * time.Second

// idle is what a process cost that did nothing.
type idle struct {
	pss     int // KiB, proportional set size: pages that several processes share count in parts
	wakeups int // of the process, while watched
}

// BenchmarkP10_IdleRunner is a runner that has answered and waits, beside a copy of the same program that only
// sleeps. Both are watched at the same time.
func BenchmarkP10_IdleRunner(b *testing.B) {
	asleep := bootAsleep(b)
	runner := ourRunner(b)
	for b.Loop() {
		var extra, wakeups []float64
		for range 5 {
			o, s := watchBoth(b, runner, asleep)
			fmt.Printf("  ours %d KiB, %d wake-ups; asleep %d KiB, %d wake-ups\n", o.pss, o.wakeups, s.pss, s.wakeups)
			extra = append(extra, float64(o.pss-s.pss)/1024)
			wakeups = append(wakeups, float64(o.wakeups))
		}
		report(b, "PSS above the sleeper", "MiB", extra, 4)
		report(b, "wake-ups per 5 s", "wake-ups", wakeups, 1)
	}
	b.ReportMetric(0, "ns/op")
}

func report(b *testing.B, what, unit string, figures []float64, most float64) {
	b.Helper()
	mid, least, max := spread(figures)
	fmt.Printf("  %-42s %12.2f %s [%.2f .. %.2f]  bar <= %.2f  %s\n", what, mid, unit, least, max, most,
		bar{most: most}.verdict(mid))
	b.ReportMetric(mid, metric(what, unit))
}

func watchBoth(tb testing.TB, one, other int) (a, b idle) {
	var wg sync.WaitGroup
	wg.Go(func() { a = watch(tb, one) })
	wg.Go(func() { b = watch(tb, other) })
	wg.Wait()
	return a, b
}

// glance is how often a process is looked at. Threads that wake one another within a glance or two are one wake-up.
const glance = 20 * time.Millisecond

func watch(tb testing.TB, pid int) idle {
	tick := time.NewTicker(glance)
	defer tick.Stop()
	woken, awake, last := 0, false, switches(tb, pid)
	for end := time.Now().Add(watched); time.Now().Before(end); <-tick.C {
		now := switches(tb, pid)
		if now != last && !awake {
			woken++
		}
		awake, last = now != last, now
	}
	return idle{pss: pss(tb, pid), wakeups: woken}
}

var (
	pssLine    = regexp.MustCompile(`(?m)^Pss: +(\d+) kB`)
	switchLine = regexp.MustCompile(`(?m)^voluntary_ctxt_switches:\s+(\d+)`)
	rssLine    = regexp.MustCompile(`(?m)^VmRSS:\s+(\d+) kB`)
	peakLine   = regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB`)
)

func pss(tb testing.TB, pid int) int {
	return number(tb, pssLine, fmt.Sprintf("/proc/%d/smaps_rollup", pid))
}

// switches returns how often all threads of a process have gone to sleep so far.
func switches(tb testing.TB, pid int) (n int) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(files) == 0 {
		tb.Errorf("no threads of process %d: %v", pid, err)
	}
	for _, file := range files {
		n += number(tb, switchLine, file)
	}
	return n
}

func number(tb testing.TB, line *regexp.Regexp, file string) int {
	text, err := os.ReadFile(file)
	if err != nil {
		tb.Error(err)
		return 0
	}
	found := line.FindSubmatch(text)
	if found == nil {
		tb.Errorf("%s: no %v", file, line)
		return 0
	}
	n, err := strconv.Atoi(string(found[1]))
	if err != nil {
		tb.Error(err)
	}
	return n
}

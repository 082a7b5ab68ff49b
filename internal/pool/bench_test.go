package pool

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"testing"
	"time"
)

// BenchmarkP07_Decide measures what the state needs for one call, from its arrival to its end. With calls in line, the
// one that ends makes room for the first of them. It ought to be the same for few and for many: each is measured in
// turn with a state of one runner.
func BenchmarkP07_Decide(b *testing.B) {
	for _, runners := range []int{1, 100, 10_000} {
		for _, line := range []int{0, 10_000, 1_000_000} {
			b.Run(fmt.Sprintf("runners=%d/waiting=%d", runners, line), func(b *testing.B) {
				one, many := busyState(1, 0), busyState(runners, line)
				runtime.GC()
				b.ReportAllocs()
				var with, alone []float64
				for b.Loop() {
					alone = append(alone, one.nanoseconds())
					with = append(with, many.nanoseconds())
				}
				slices.Sort(with)
				slices.Sort(alone)
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(with[0], "ns-least")
				b.ReportMetric(with[len(with)/2], "ns-median")
				b.ReportMetric(with[len(with)-1], "ns-most")
				b.ReportMetric(1e3/with[0], "Mcalls/s")
				b.ReportMetric(with[0]/alone[0], "x-one")
			})
		}
	}
}

// busy is a state with runners that are up, and the calls that hold their slots if there is a line.
type busy struct {
	s    *state
	held []*Call
	next *Call
	n    int
}

func busyState(runners, line int) *busy {
	r := rules{min: runners, max: runners, slots: 10, idleAfter: time.Hour, jitter: func() float64 { return 0 }, bootsPerMinute: math.MaxInt32}
	u := &busy{s: newState(r, func() string { return "" }), next: new(Call)}
	u.s.settle(1)
	for u.s.count[booting] > 0 {
		for _, a := range slices.Clone(u.s.take()) {
			u.s.up(a.r, 1)
		}
	}
	if line == 0 {
		return u
	}
	for i := range runners*r.slots + line {
		c := new(Call)
		c.deadline = time.Hour
		if u.s.arrive(c, 1); i < runners*r.slots {
			u.held = append(u.held, c)
		}
	}
	u.s.take()
	return u
}

// nanoseconds is how long a call takes, of many.
func (u *busy) nanoseconds() float64 {
	const many = 10_000
	begun := time.Now()
	for range many {
		u.call()
	}
	return float64(time.Since(begun).Nanoseconds()) / many
}

func (u *busy) call() {
	u.n++
	now, ends := time.Duration(u.n+1), u.next
	u.next.deadline = now + time.Hour
	u.s.arrive(u.next, now)
	if len(u.held) > 0 {
		ends = u.held[u.n%len(u.held)]
	}
	u.s.begin(ends, now)
	u.s.finish(ends, nil, now)
	for _, a := range u.s.take() {
		if len(u.held) > 0 {
			u.held[u.n%len(u.held)] = a.c
		}
	}
	u.s.due()
	u.next, ends.ticket = ends, ticket{}
}

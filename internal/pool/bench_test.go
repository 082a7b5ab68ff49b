package pool

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"testing"
	"time"
)

// BenchmarkDecide measures what the state needs for one call, from its arrival to its end. With calls in line, the
// one that ends makes room for the first of them. It ought to be the same for few and for many.
func BenchmarkDecide(b *testing.B) {
	least := math.MaxFloat64
	for _, slots := range []int{1, 100} {
		for _, runners := range []int{1, 100, 10_000} {
			for _, line := range []int{0, 10_000, 1_000_000} {
				b.Run(fmt.Sprintf("slots=%d/runners=%d/waiting=%d", slots, runners, line), func(b *testing.B) {
					s, held := busyState(slots, runners, line)
					decide(b, s, held)
					ns := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
					least = min(least, ns)
					b.ReportMetric(ns/least, "x-least")
				})
			}
		}
	}
}

// busyState returns a state with runners that are up. If there is to be a line, it returns those who hold the slots.
func busyState(slots, runners, line int) (s *state, held []*Call) {
	r := rules{min: runners, max: runners, slots: slots, idleAfter: time.Hour, jitter: func() float64 { return 0 }}
	s = newState(r, func() string { return "" })
	s.settle(1)
	for s.count[booting] > 0 {
		for _, a := range slices.Clone(s.take()) {
			s.up(a.r, 1)
		}
	}
	if line > 0 {
		for range runners * slots {
			held = append(held, new(Call))
			s.arrive(held[len(held)-1], 1)
		}
		for range line {
			c := new(Call)
			c.deadline = time.Hour
			s.arrive(c, 1)
		}
	}
	s.take()
	return s, held
}

func decide(b *testing.B, s *state, held []*Call) {
	next := new(Call)
	runtime.GC()
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		now := time.Duration(i + 2)
		next.deadline = now + time.Hour
		s.arrive(next, now)
		ends := next
		if len(held) > 0 {
			ends = held[i%len(held)]
		}
		s.finish(ends, nil, now)
		for _, a := range s.take() {
			if len(held) > 0 {
				held[i%len(held)] = a.c
			}
		}
		s.due()
		next = ends
		*next = Call{}
	}
}

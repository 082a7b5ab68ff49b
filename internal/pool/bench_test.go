package pool

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkDecide measures what the state needs for one call, from its arrival to its end. With calls in line, the
// one that ends makes room for the first of them.
func BenchmarkDecide(b *testing.B) {
	for _, slots := range []int{1, 100} {
		for _, runners := range []int{1, 100, 10_000} {
			for _, line := range []int{0, 10_000, 1_000_000} {
				b.Run(fmt.Sprintf("slots=%d/runners=%d/waiting=%d", slots, runners, line), func(b *testing.B) {
					decide(b, slots, runners, line)
				})
			}
		}
	}
}

func decide(b *testing.B, slots, runners, line int) {
	s := newState(rules{min: runners, max: runners, slots: slots, idleAfter: time.Hour, jitter: func() float64 { return 0 }},
		func() string { return "" })
	s.settle(1)
	for s.count[booting] > 0 {
		for _, a := range append([]action(nil), s.take()...) {
			s.up(a.r, 1)
		}
	}
	held := make([]*Call, 0, runners*slots)
	if line > 0 { // then every slot is taken
		for range runners * slots {
			held = append(held, &Call{})
			s.arrive(held[len(held)-1], 1)
		}
		for i := range line {
			s.arrive(&Call{deadline: time.Hour + time.Duration(i*7919%1_000_003)}, 1)
		}
	}
	s.take()
	calls := make([]Call, b.N)
	b.ReportAllocs()
	b.ResetTimer()
	now := time.Duration(2)
	for i := range calls {
		now++
		c := &calls[i]
		c.deadline = now + time.Minute
		s.arrive(c, now)
		if line > 0 {
			c = held[i%len(held)]
		}
		s.finish(c, now)
		for _, a := range s.take() {
			if a.kind == grant && line > 0 {
				held[i%len(held)] = a.c
			}
		}
		s.due()
	}
}

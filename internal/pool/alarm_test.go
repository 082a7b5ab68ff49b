package pool

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestAlarmsGoOffInTime compares with a look at every alarm, for times from nanoseconds to centuries.
func TestAlarmsGoOffInTime(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		s, now := new(alarms), time.Duration(r.Int64N(1<<40))
		set := map[*alarm]time.Duration{}
		spare := make([]*alarm, 40)
		for i := range spare {
			spare[i] = new(alarm)
		}
		for range 300 {
			a := spare[r.IntN(len(spare))]
			switch r.IntN(4) {
			case 0, 1:
				at := now + time.Duration(r.Int64N(1<<r.IntN(62)))
				set[a] = max(at, at+1) - 1 // the time itself now and then
				s.set(a, set[a])
			case 2:
				s.unset(a)
				delete(set, a)
			case 3:
				now = passTime(t, r, s, now, set)
			}
		}
	}
}

// passTime lets some time pass and checks what has gone off.
func passTime(t *testing.T, r *rand.Rand, s *alarms, now time.Duration, set map[*alarm]time.Duration) time.Duration {
	t.Helper()
	at, ok := s.soonest()
	if ok != (len(set) > 0) || s.n != len(set) {
		t.Fatalf("%d are set, it says %d, %v", len(set), s.n, ok)
	}
	for _, when := range set {
		if when < at {
			t.Fatalf("one is set for %d, none before %d is said to be", when, at)
		}
	}
	if ok && r.IntN(2) == 0 {
		now = max(now, at)
	} else {
		now += time.Duration(r.Int64N(1 << r.IntN(58)))
	}
	var off []*alarm
	for a := s.next(now); a != nil; a = s.next(now) {
		if when, ok := set[a]; !ok || when > now {
			t.Fatalf("at %d one went off that is set for %d (%v)", now, when, ok)
		}
		delete(set, a)
		off = append(off, a)
	}
	if !slices.IsSortedFunc(off, func(a, b *alarm) int { return cmp.Compare(a.at, b.at) }) {
		t.Fatal("they went off out of order")
	}
	for _, when := range set {
		if when <= now {
			t.Fatalf("at %d the one for %d did not go off", now, when)
		}
	}
	return now
}

package pool

import (
	"math/bits"
	"time"
)

// alarm is something to be done at a time: a call's deadline, a runner's age. It is set for one time or not at all.
type alarm struct {
	prev, next *alarm
	at         time.Duration
	call       *Call   // whose it is
	runner     *runner // or whose
	where      uint16  // the list that it is in, one higher; 0: it is not set
}

// Time is read as a number with digits of digitBits bits.
const (
	digitBits = 6
	digits    = 1 << digitBits
	places    = (63 + digitBits - 1) / digitBits
)

// alarms is the alarms that are set. Setting one, unsetting it and finding the first take the same time for one and for
// a million: an alarm is filed by the first digit in which its time differs from the time up to which all have gone off. What
// differs in a lower place comes sooner; when the time reaches that of a list, the list is filed anew, a place lower.
type alarms struct {
	since time.Duration // all before have gone off
	lists [places * digits]alarmList
	some  [places]uint64 // by place: a bit for each list that is not empty
	inUse uint16         // a bit for each place that has one
	n     int
}

type alarmList struct{ first, last *alarm }

// set sets a to go off, once, at a time and not at another.
func (s *alarms) set(a *alarm, at time.Duration) {
	s.unset(a)
	a.at = at
	s.file(a)
}

func (s *alarms) file(a *alarm) {
	at := uint64(max(a.at, s.since))
	place := (bits.Len64(at^uint64(s.since)|1) - 1) / digitBits
	digit := at >> (place * digitBits) % digits
	where := place*digits + int(digit)
	s.some[place] |= 1 << digit
	s.inUse |= 1 << place
	s.n++
	l := &s.lists[where]
	a.where, a.prev, a.next = uint16(where+1), l.last, nil
	if l.last == nil {
		l.first = a
	} else {
		l.last.next = a
	}
	l.last = a
}

// unset has a not go off, if it is set.
func (s *alarms) unset(a *alarm) {
	if a.where == 0 {
		return
	}
	where := int(a.where - 1)
	l := &s.lists[where]
	if a.prev == nil {
		l.first = a.next
	} else {
		a.prev.next = a.next
	}
	if a.next == nil {
		l.last = a.prev
	} else {
		a.next.prev = a.prev
	}
	a.where, a.prev, a.next = 0, nil, nil
	s.n--
	if l.first != nil {
		return
	}
	place := where / digits
	if s.some[place] &^= 1 << (where % digits); s.some[place] == 0 {
		s.inUse &^= 1 << place
	}
}

// soonest returns a time before which none goes off. At that time one does, or another such time can be said.
func (s *alarms) soonest() (at time.Duration, ok bool) {
	if s.inUse == 0 {
		return 0, false
	}
	at, _ = s.firstList()
	return at, true
}

// firstList returns the list that is first in time, and when that is. There is one.
func (s *alarms) firstList() (at time.Duration, where int) {
	place := bits.TrailingZeros16(s.inUse)
	digit := bits.TrailingZeros64(s.some[place])
	shift := place * digitBits
	above := uint64(s.since) >> shift &^ (digits - 1)
	return time.Duration((above | uint64(digit)) << shift), place*digits + digit
}

// next returns an alarm whose time has come, unset, or nil if there is none any more.
func (s *alarms) next(now time.Duration) *alarm {
	for s.inUse != 0 {
		at, where := s.firstList()
		if at > now {
			break
		}
		s.since = at
		l := &s.lists[where]
		if where < digits {
			a := l.first
			s.unset(a)
			return a
		}
		for a := l.first; a != nil; a = l.first {
			s.unset(a)
			s.file(a)
		}
	}
	s.since = max(s.since, now)
	return nil
}

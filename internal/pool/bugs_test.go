package pool

import (
	"strings"
	"testing"

	"github.com/fleetinglambda/flame/internal/seeded"
)

// bugs are mistakes that the random test has to find: what stands in a file, and what a tired hand makes of it.
var bugs = []seeded.Bug{
	{"a slot is free when its caller is gone", "state.go", "\tc.answered = true //", "\tc.answered = true\n\ts.release(c, now) //"},
	{"a deadline outlives its call", "state.go", "\ts.running--\n\ts.alarms.unset(&c.alarm)\n", "\ts.running--\n"},
	{"close forgets the line", "state.go", "\ts.failAll(ErrClosed, now)\n", ""},
	{"the line has one place too many", "state.go", "s.line.n >= s.maxLine", "s.line.n > s.maxLine"},
	{"an answered call is run again", "state.go", "c.Attempt <= c.Retry && !c.answered", "c.Attempt <= c.Retry"},
	{"a call moves on for ever", "state.go", "\t\tc.moves++\n", ""},
	{"a call is run again and again", "state.go", "\tc.Attempt++\n", ""},
	{"a spent runner has another call", "state.go", "\tif s.once && c.sent", "\ts.settle(now)\n\tif s.once && c.sent"},
	{"one slot too many", "state.go", "free: newRings(r.slots)", "free: newRings(r.slots + 1)"},
	{"a cast's function cannot be cancelled", "state.go", "\tif goesOn {\n", "\tif goesOn || c.UntilSlot {\n"},
	{"what a call has returned outlives its context", "state.go", "\tcase c.held && !c.cut && c.phase == granted:\n\t\ts.endHeld(c, cause, now)\n", "\tcase c.held && !c.cut && c.phase == granted:\n"},
	{"a result is cut twice", "state.go", "c.held && !c.cut && ", "c.held && "},
	{"what was returned has the function's deadline", "held.go", "\ts.alarms.unset(&c.alarm)\n", ""},
	{"what nobody gets is never told to end", "held.go", "\t\t\ts.awaitEnd(c, now)\n\t\t}\n", "\t\t}\n"},
	{"what was returned counts for ever", "state.go", "\t\ts.held--\n", ""},
	{"a boot that is put off has no date", "state.go", "\t\tsoonest(s.demand.next())\n", ""},
	{"busy runners count as idle since they came", "state.go", "\t\tr.idleSince, r.quietSince = now, now\n", ""},
	{"time in line is told twice", "state.go", "c.Queued = end - c.arrived - c.Booting", "c.Queued = end - c.arrived"},
	{"a moved call goes to the end", "queue.go", "next != nil && next.number < c.number", "next != nil"},
	{"a moved call goes to the front", "queue.go", "next != nil && next.number < c.number", "false"},
	{"bytes that have left the line count", "queue.go", "\tl.bytes -= c.Size\n", ""},
	{"the least urgent are first", "queue.go", "l.by[mid].priority > priority", "l.by[mid].priority < priority"},
	{"the least loaded is not taken first", "queue.go", "bits.TrailingZeros64(loads)", "bits.Len64(loads)-1"},
	{"draining runners do not count", "demand.go", "up+s.count[draining] >= s.max", "up >= s.max"},
	{"a boot for every waiting call", "demand.go", "slots := s.count[booting] * s.slots", "slots := s.count[booting]"},
	{"min is forgotten", "demand.go", "up < s.min-s.asleep || ", ""},
	{"headroom is forgotten", "demand.go", " || s.free.slots+slots-s.line.n < s.headroom", ""},
	{"failed boots have no end", "demand.go", "s.demand.failed >= patience && ", "s.demand.failed < 0 && "},
	{"boots cost nothing", "demand.go", "now-time.Minute) + price", "now-time.Minute)"},
	{"boots are not put off", "demand.go", "s.demand.retryAt = now + ", "s.demand.retryAt = now + 0*"},
	{"who is away has more calls", "queue.go", "\tif r.away {\n\t\tg.away.push(r)\n\t\treturn\n\t}\n", ""},
	{"who comes back is not noticed", "retire.go", "\tr.away = away\n\tif r.stage == ready {\n", "\tr.away = away\n\tif r.stage == ready && away {\n"},
	{"who is away stays for ever", "retire.go", "\tfor s.free.away.first != nil {\n", "\tfor s.free.away.first != nil && s.closed {\n"},
	{"no boot after a loss", "retire.go", "\ts.drain(r, Lost, now)\n\t}\n\ts.settle(now)\n", "\ts.drain(r, Lost, now)\n\t}\n"},
	{"a lost runner keeps its slots", "retire.go", "\t\ts.drain(r, Lost, now)\n", "\t\ts.move(r, draining)\n"},
	{"idle runners leave below min", "retire.go", "s.count[ready] > s.min-s.asleep", "s.count[ready] > 0"},
	{"a call that came meanwhile does not count", "retire.go", " && !r.disturbed", ""},
	{"a stuck runner has more calls", "retire.go", "\t\ts.drain(r, Stuck, now)\n", ""},
	{"a stuck runner takes the others along", "retire.go", "r.culprit != nil && r.load == r.cut", "r.culprit != nil"},
	{"one runner too many stays", "retire.go", "s.count[booting]+s.count[ready] > s.max", "s.count[booting]+s.count[ready] > s.max+1"},
	{"a boot that nobody needs holds shutdown up", "retire.go", "for s.coming.last != nil {", "for s.coming.last != nil && s.closed {"},
	{"old runners stay", "retire.go", "\t\ts.drain(r, Aged, now)\n", ""},
}

func TestSeededBugsAreFound(t *testing.T) {
	seeded.Test{Name: "TestAnyScheduleKeepsThePromises", Args: []string{"-schedules", "300000"}, Says: reason}.Find(t, bugs)
}

// reason is the line that says what a failed test has found.
func reason(said string) string {
	for line := range strings.Lines(said) {
		if strings.Contains(line, "[schedule ") {
			return strings.TrimSpace(line)
		}
	}
	return said
}

package pool

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// bugs are mistakes that the random test has to find: what stands in a file, and what a tired hand makes of it.
var bugs = []struct{ name, file, right, wrong string }{
	{"no boot after a loss", "state.go", "\ts.remove(r)\n\ts.settle(now)\n", "\ts.remove(r)\n"},
	{"a slot is free when its caller is gone", "state.go", "\t\tc.answered = true\n", "\t\tc.answered = true\n\t\ts.release(c, now)\n"},
	{"a lost runner keeps its slots", "state.go", "if r.stage == ready {\n\t\ts.drain(r)", "if r.stage == ready {\n\t\ts.move(r, draining)\n\t\ts.do(action{kind: retire, r: r})"},
	{"draining runners do not count", "state.go", "up+s.count[draining] >= s.max", "up >= s.max"},
	{"one slot too many", "state.go", "free: newRings(r.slots)", "free: newRings(r.slots + 1)"},
	{"a moved call goes to the end", "queue.go", "next != nil && next.number < c.number", "next != nil"},
	{"a moved call goes to the front", "queue.go", "next != nil && next.number < c.number", "false"},
	{"a deadline outlives its call", "state.go", "c.phase = over\n\ts.deadlines.remove(c)", "c.phase = over"},
	{"a boot for every waiting call", "state.go", "s.line.n > s.count[booting]*s.slots", "s.line.n > s.count[booting]"},
	{"one boot for all waiting calls", "state.go", "s.line.n > s.count[booting]*s.slots", "s.line.n > 0 && s.count[booting] == 0"},
	{"min is forgotten", "state.go", "return forLine || forMin", "return forLine || forMin && s.max < 0"},
	{"idle runners leave below min", "state.go", "for s.idleAfter >= 0 && s.count[ready] > s.min {", "for s.idleAfter >= 0 {"},
	{"busy runners count as idle since they came", "state.go", "r.load == 0 {\n\t\tr.idleSince = now", "r.load < 0 {\n\t\tr.idleSince = now"},
	{"the least loaded is not taken first", "queue.go", "bits.TrailingZeros64(loads)", "bits.Len64(loads)-1"},
	{"a retry falls due that nobody wants", "state.go", "s.retryAt > 0 && s.lacksRunner()", "s.retryAt > 0"},
	{"failed boots have no end", "state.go", "s.failed >= patience && ", "s.failed < 0 && "},
	{"a retry has no date", "state.go", "\t\tsoonest(s.retryAt)\n", "\t\t_ = s.retryAt\n"},
	{"close forgets the line", "state.go", "s.closing, s.closed = true, true\n\tfor s.line.first != nil {", "s.closing, s.closed = true, true\n\tfor s.running < 0 {"},
	{"a boot that nobody needs any more holds shutdown up", "state.go", "if r.stage != draining {\n\t\t\t\ts.drain(r)", "if r.stage == ready {\n\t\t\t\ts.drain(r)"},
	{"an answered call is run again", "state.go", "case c.answered:\n\t\tc.phase = over", "case s.running < 0:\n\t\tc.phase = over"},
}

// TestSeededBugsAreFound builds the random test with one bug at a time and has it fail.
func TestSeededBugsAreFound(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds this package many times")
	}
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("there is no go command: ", err)
	}
	for _, bug := range bugs {
		t.Run(bug.name, func(t *testing.T) {
			out, err := exec.CommandContext(t.Context(), goTool, "test", "-overlay", overlay(t, bug.file, bug.right, bug.wrong),
				"-run", "^TestAnyScheduleKeepsThePromises$", "-timeout", "20s", "-vet", "off", "-count", "1", "-rapid.shrinktime", "1ns", ".").CombinedOutput()
			switch said := string(out); {
			case t.Context().Err() != nil:
			case err == nil:
				t.Error("20,000 schedules did not find it")
			case !strings.Contains(said, "--- FAIL: TestAnyScheduleKeepsThePromises"):
				t.Errorf("no run: %s", said)
			default:
				t.Log(reason(said))
			}
		})
	}
}

// overlay has the go command read a file with a bug instead of the one without.
func overlay(t *testing.T, file, right, wrong string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), right); n != 1 {
		t.Fatalf("%s has %q %d times: the bug has no place", file, right, n)
	}
	here, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	buggy := filepath.Join(t.TempDir(), file)
	plan, err := json.Marshal(map[string]map[string]string{"Replace": {here: buggy}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, buggy, []byte(strings.Replace(string(text), right, wrong, 1)))
	write(t, buggy+".json", plan)
	return buggy + ".json"
}

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// reason is the line that says what a failed test has found.
func reason(said string) string {
	for line := range strings.Lines(said) {
		if strings.Contains(line, "[rapid] ") && !strings.Contains(line, " draw ") {
			return strings.TrimSpace(line)
		}
	}
	return said
}

package pool

import (
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"testing"
)

// TestStatesAreAsDrawn compares the arrows of the page about states with the steps that random schedules take.
func TestStatesAreAsDrawn(t *testing.T) {
	const page = "../../docs/states.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	drawn := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^ +(\S+) --> (\w+) : (.+)$`).FindAllStringSubmatch(string(text), -1) {
		drawn[fmt.Sprintf("from %s to %s by %s", m[1], m[2], m[3])] = true
	}
	taken := map[string]bool{}
	for seed := range uint64(10_000) {
		r := rand.New(rand.NewPCG(seed, 1))
		w := &world{failer: t, upTo: func(_ string, n int) int { return r.IntN(n + 1) }}
		liveOut(w)
		for s := range w.replay.steps {
			if s.from == "" {
				s.from = "[*]"
			}
			taken[fmt.Sprintf("from %s to %s by %s", s.from, s.to, s.kind)] = true
		}
	}
	for step := range taken {
		if !drawn[step] {
			t.Errorf("%s is taken and not drawn", step)
		}
	}
	for step := range drawn {
		if !taken[step] {
			t.Errorf("%s is drawn and not taken", step)
		}
	}
}

// TestEveryReasonIsExplained: the page has a row for each.
func TestEveryReasonIsExplained(t *testing.T) {
	text, err := os.ReadFile("../../docs/states.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []Reason{Idle, Spent, Aged, Surplus, Leaving, Stuck, Lost, Closed} {
		if !regexp.MustCompile(`(?m)^\| ` + string(r) + ` \| `).Match(text) {
			t.Errorf("%q has no row", r)
		}
	}
}

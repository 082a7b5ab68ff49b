package bench

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// A side is one of the things compared: a name and its figure in one round.
type side struct {
	name  string
	round func() float64
}

// A bar is what our figure divided by a reference's is to be.
type bar struct {
	ours, reference string
	most            float64 // the ratio is at most this, if it is not 0
	least           float64 // the ratio is at least this
}

// A contest compares sides in one run: each has its turn in every round, and the order turns round by
// round, so that a noisy moment of the machine meets all.
type contest struct {
	unit   string
	rounds int // how often each side has its turn
	sides  []side
	bars   []bar
}

// run has all rounds, prints what came of them and reports medians and ratios.
func (c contest) run(b *testing.B) {
	b.Helper()
	for b.Loop() {
		c.report(b, c.figures())
	}
	b.ReportMetric(0, "ns/op")
}

// figures returns the figure of each side in each round.
func (c contest) figures() map[string][]float64 {
	all := map[string][]float64{}
	for r := range c.rounds {
		for i := range c.sides {
			s := c.sides[(i+r)%len(c.sides)]
			all[s.name] = append(all[s.name], s.round())
		}
	}
	return all
}

func (c contest) report(b *testing.B, all map[string][]float64) {
	b.Helper()
	fmt.Printf("\n%s, median of %d rounds [least .. most]\n", b.Name(), c.rounds)
	for _, s := range c.sides {
		mid, least, most := spread(all[s.name])
		fmt.Printf("  %-42s %12.1f %s [%.1f .. %.1f]\n", s.name, mid, c.unit, least, most)
		b.ReportMetric(mid, metric(s.name, c.unit))
	}
	for _, bar := range c.bars {
		mid, least, most := spread(ratios(all[bar.ours], all[bar.reference]))
		fmt.Printf("  %-42s %12.2f   [%.2f .. %.2f]  bar %s  %s\n",
			bar.ours+" / "+bar.reference, mid, least, most, bar, bar.verdict(mid))
		b.ReportMetric(mid, metric(bar.ours+"/"+bar.reference, "x"))
	}
}

// String says what is to be reached.
func (b bar) String() string {
	if b.most != 0 {
		return fmt.Sprintf("<= %.2f", b.most)
	}
	return fmt.Sprintf(">= %.2f", b.least)
}

func (b bar) verdict(ratio float64) string {
	if b.most != 0 && ratio <= b.most || b.most == 0 && ratio >= b.least {
		return "reached"
	}
	return "NOT REACHED"
}

// ratios divides round by round, so that both figures of a ratio were measured at about the same time.
func ratios(ours, reference []float64) []float64 {
	r := make([]float64, len(ours))
	for i := range r {
		r[i] = ours[i] / reference[i]
	}
	return r
}

func middle(figures []float64) float64 {
	mid, _, _ := spread(figures)
	return mid
}

// spread returns the median and the extremes.
func spread(figures []float64) (mid, least, most float64) {
	s := slices.Sorted(slices.Values(figures))
	return s[len(s)/2], s[0], s[len(s)-1]
}

// metric turns a name into one that a benchmark may report.
func metric(name, unit string) string {
	return strings.NewReplacer(" ", "-", ",", "").Replace(name) + "-" + unit
}

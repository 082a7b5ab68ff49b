package bench

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/fleetinglambda/flame/bench/frames"
)

// coldStarts is how many cold starts make a round of one side.
const coldStarts = 6

// BenchmarkP06_ColdStart is the first call on an empty pool, compared with starting a copy of the same
// program and having it answer one frame. "fresh parent" is the first cold start of a process, Open included.
func BenchmarkP06_ColdStart(b *testing.B) {
	b.Run("small", func(b *testing.B) { coldStart(b, "-ldflags=-s -w") })
	b.Run("large", func(b *testing.B) { coldStart(b, "-tags=large") })
}

// coldStart builds the program cold with a flag of go build and measures it.
func coldStart(b *testing.B, flag string) {
	b.Helper()
	program := filepath.Join(b.TempDir(), "cold")
	if out, err := exec.Command("go", "build", flag, "-o", program, "./cold").CombinedOutput(); err != nil {
		b.Fatalf("build cold: %v\n%s", err, out)
	}
	contest{
		unit: "ms", rounds: 9,
		sides: []side{
			{"ours", func() float64 { return middle(startsOf(b, program, "ours", coldStarts)[1:]) }},
			{"ours, fresh parent", func() float64 { return middle(startsOf(b, program, "ours", 1)) }},
			{"spawn and a frame", func() float64 { return middle(startsOf(b, program, "reference", coldStarts)) }},
		},
		bars: []bar{
			{ours: "ours", reference: "spawn and a frame", most: 2},
			{ours: "ours, fresh parent", reference: "spawn and a frame", most: 2},
		},
	}.run(b)
}

// startsOf runs the program and returns n cold starts of it in milliseconds.
func startsOf(tb testing.TB, program, mode string, n int) []float64 {
	tb.Helper()
	cmd := exec.Command(program, mode, strconv.Itoa(n))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("cold %s: %v\n%s", mode, err, stderr.String())
	}
	var all []float64
	for field := range strings.FieldsSeq(string(out)) {
		ns, err := strconv.ParseFloat(field, 64)
		if err != nil {
			tb.Fatalf("cold %s: %v", mode, err)
		}
		all = append(all, ns/1e6)
	}
	return all
}

// BenchmarkP06_Spawn is the reference alone, with the test binary as the program.
func BenchmarkP06_Spawn(b *testing.B) {
	contest{
		unit: "ms", rounds: 9,
		sides: []side{{"spawn and a frame", func() float64 {
			took, err := frames.Spawn(roleVar + "=blocking")
			if err != nil {
				b.Fatal(err)
			}
			return float64(took.Nanoseconds()) / 1e6
		}}},
	}.run(b)
}

package simulation

import (
	"flag"
	"testing"

	"github.com/fleetinglambda/flame/internal/seeded"
)

// bugs are mistakes that the lives have to find, most of them between the rooms of the house.
var bugs = []seeded.Bug{
	{"a call whose runner was lost runs again", "../pool/dispatch.go", "\tcase !r.Started:\n", "\tcase !r.Started || r.Lost:\n"},
	{"a loss is told beyond the deadline", "../pool/boot.go", "\tif left > 0 {\n", "\tif left < 0 {\n"},
	{"a lost runner is not stopped", "../pool/boot.go", "\tl.session.Close()\n\tp.stop(l, insist)\n", "\tl.session.Close()\n"},
	{"a runner that does not come up is not stopped", "../pool/boot.go", "\tp.stop(l, insist)\n\tfail.Output", "\tfail.Output"},
	{"a caller is told nothing at its deadline", "../pool/dispatch.go", "\tp.finish(c, err)\n\tp.mu.Lock()\n\tsent, held", "\tp.mu.Lock()\n\tsent, held"},
	{"a function is not told to end", "../pool/dispatch.go", "\tif !goesOn {\n\t\tl.session.CancelFor", "\tif false {\n\t\tl.session.CancelFor"},
	{"elements overtake each other", "../lend/channel.go", "append(c.queue, whole), c.bytes+len(whole)", "append([][]byte{whole}, c.queue...), c.bytes+len(whole)"},
	{"a close overtakes elements", "../lend/channel.go", "if len(c.queue) == 0 || c.ended {", "if len(c.queue) == 0 || c.ended || c.last {"},
	{"a close is lost on the way back", "../lend/channel.go", "if shut && c.close() {", "if shut && false {"},
	{"a close is lost on the way there", "../lend/channel.go", "c.desk.tell(note(c.number, closing))", "_ = closing"},
	{"what a function may send is not told", "../lend/channel.go", "\tif tell {\n\t\tc.desk.tellRun", "\tif tell && had > 9 {\n\t\tc.desk.tellRun"},
	{"the answer overtakes what was written", "../runner/answer.go", "if unsettled := borrower.Settle(ctx); err == nil {", "if unsettled := error(nil); err == nil {"},
	{"a goroutine that ends has returned", "../runner/answer.go", "{{byte(Exited)}}", "{{byte(Returned)}}"},
	{"a lost runner's body just ends", "../../held.go", "c.held.End(c.why(call, last, err))", "c.held.End(nil)"},
	{"a map forgets the order", "../../mapping.go", "m.inOrder = !m.call.unordered", "m.inOrder = false"},
	{"a task keeps no copy", "../../send.go", "Snapshot: true, ", ""},
}

// withBugs is set where the time is taken for it.
var withBugs = flag.Bool("bugs", false, "put bugs into the code, one at a time, and have the lives find them")

func TestSeededBugsAreFound(t *testing.T) {
	if !*withBugs {
		t.Skip("skipped: it builds the library many times; -args -bugs has it done")
	}
	seeded.Test{
		Name: "TestWhateverHappensEveryCallHasOneTrueOutcome", Args: []string{"-lives", "300"},
		Says: func(said string) string { return said[:min(len(said), 600)] },
	}.Find(t, bugs)
}

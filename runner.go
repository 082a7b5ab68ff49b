package flame

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/fleetinglambda/flame/internal/codec"
	"github.com/fleetinglambda/flame/internal/runner"
)

// serving is set by ServeIfRunner: from then on a copy of this program serves.
var serving atomic.Bool

// ServeIfRunner makes the program able to be its own runner. In the parent it returns at once. In a runner it
// answers calls until its parent is done with it, runs the cleanup functions one after another
// (they have 5 s, or half a second if the parent is gone), and exits: it does not return.
//
// Call it once, in main or TestMain, after flags are parsed and after [PerProcess], before [Open], and before
// anything that only the parent should do, such as listening.
func ServeIfRunner(cleanup ...func(context.Context)) {
	invite, ok, err := runner.Invitation()
	if err != nil {
		fmt.Fprintln(os.Stderr, "flame:", err)
		os.Exit(1)
	}
	serving.Store(true)
	if ok {
		os.Exit(runner.Main(invite, cleanup))
	}
}

// ParentInfo says whose runner this process is.
type ParentInfo struct {
	Parent  string // the parent's id: its host's name and process id
	Pool    string // the pool's name
	Runner  string // this runner's id
	Backend string // what booted it, as a Go type: "*process.processes"
}

// Parent returns whose runner this process is; false means that it is no runner. It works from main's first
// line on, so that main can skip what only the parent should do: migrations, consumers, listeners.
func Parent() (ParentInfo, bool) {
	invite, ok, _ := runner.Invitation()
	return ParentInfo{Parent: invite.Parent, Pool: invite.Pool, Runner: invite.Runner, Backend: invite.Backend}, ok
}

// PerProcess declares something that every process of the program has its own of: a connection pool, a cache, the
// server with everything injected. v is a pointer to it, or a func() (*T, error) that makes it on a
// runner when it is first needed there. A captured pointer to it, or into it, is not sent: on the
// runner it means the runner's own.
//
// Call it in main before [ServeIfRunner], so that parent and runner both do. It panics if v is
// neither form, or if the name or the memory is declared already.
func PerProcess(name string, v any) {
	if err := codec.Register(name, v); err != nil {
		panic("flame: PerProcess: " + err.Error())
	}
}

// Command closures sends closures of every shape to a second process and compares what they return with what they
// return here. It ends with 1 if any is wrong, if one is refused that should cross, or if one crosses that must not.
//
// CLOSURES_EMULATOR names a program that has to run it, for a processor that this machine has not. CLOSURES_PROFILE
// names a file for a CPU profile.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime/pprof"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/backend/process"
)

func main() {
	declare()
	flame.ServeIfRunner()
	ok, err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "closures:", err)
	}
	if !ok || err != nil {
		os.Exit(1)
	}
}

func run() (ok bool, err error) {
	if name := os.Getenv("CLOSURES_PROFILE"); name != "" {
		file, err := os.Create(name)
		if err != nil {
			return false, err
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return false, err
		}
		defer pprof.StopCPUProfile()
	}
	runners := process.New(process.Options{Output: io.Discard})
	if name := os.Getenv("CLOSURES_EMULATOR"); name != "" {
		runners = emulated{runners, name}
	}
	pool, err := flame.Open(context.Background(), flame.Config{
		Name: "closures", Max: 1, Backend: runners, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return false, err
	}
	defer pool.Close()
	return compare(pool, func(s string) { fmt.Println(s) }), nil
}

// emulated boots the program through another one that runs it.
type emulated struct {
	backend.Backend
	emulator string
}

func (e emulated) Boot(ctx context.Context, spec backend.Spec) (backend.Instance, error) {
	emulator, err := exec.LookPath(e.emulator)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	spec.Path, spec.Args = emulator, append([]string{emulator, self}, spec.Args[1:]...)
	return e.Backend.Boot(ctx, spec)
}

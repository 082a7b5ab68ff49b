// Command cold measures cold starts in a program of its own, so that what is started again is a program of
// a known size. It is run as
//
//	cold reference|ours N
//
// and prints N durations in nanoseconds, a line each. The reference starts a copy of the program, which answers
// one frame. Ours opens a pool with no runner and makes the first call; the first of its figures includes
// Open, the others only the call. With the build tag "large" the program has about 60 MB.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"time"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/bench/frames"
)

const childVar = "BENCH_COLD_CHILD"

var modes = map[string]func(first bool) (time.Duration, error){
	"ours":      ours,
	"reference": func(bool) (time.Duration, error) { return frames.Spawn(childVar + "=1") },
}

func main() {
	if os.Getenv(childVar) != "" {
		_ = frames.Echo(frames.Blocking(3)) // it ends when the parent closes the connection
		return
	}
	flame.ServeIfRunner()
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "cold:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 || modes[args[0]] == nil {
		return fmt.Errorf("usage: cold reference|ours N")
	}
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	for i := range n {
		took, err := modes[args[0]](i == 0)
		if err != nil {
			return err
		}
		fmt.Println(took.Nanoseconds())
	}
	return nil
}

// ours returns how long the first call of a pool without runners takes; for the first pool of this process with Open.
func ours(first bool) (took time.Duration, err error) {
	ctx := context.Background()
	begun := time.Now()
	p, err := flame.Open(ctx, flame.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return 0, err
	}
	if !first {
		begun = time.Now()
	}
	_, err = flame.Call(ctx, p, func(context.Context) (struct{}, error) { return struct{}{}, nil })
	took = time.Since(begun)
	return took, errors.Join(err, p.Close())
}

// Checksum hashes files on runners and prints what sha256sum prints, so that "sha256sum -c" agrees.
//
//	go run ./examples/checksum [flags] [PATH…]
//
// A directory stands for all regular files below it. Without a PATH it hashes the source tree of the Go distribution.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend/process"
)

// options are the flags and what follows them.
type options struct {
	runners     int
	concurrency int
	paths       []string
}

func main() {
	var o options
	flag.IntVar(&o.runners, "runners", runtime.NumCPU(), "how many runner processes there are at most")
	flag.IntVar(&o.concurrency, "concurrency", 4, "how many files a runner reads at a time")
	flag.Usage = usage
	flag.Parse()
	flame.ServeIfRunner()

	o.paths = flag.Args()
	if err := o.check(); err != nil {
		fmt.Fprintf(os.Stderr, "checksum: %v\n", err)
		os.Exit(2)
	}
	signal.Ignore(syscall.SIGPIPE) // a reader that leaves early is an error of the write
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	failed, err := run(ctx, o)
	if err != nil && !errors.Is(err, syscall.EPIPE) {
		fmt.Fprintf(os.Stderr, "checksum: %v\n", err)
	}
	if failed > 0 || err != nil {
		os.Exit(1)
	}
}

func usage() {
	fmt.Fprint(flag.CommandLine.Output(), "usage: checksum [flags] [PATH…]\n\n"+
		"Prints the SHA-256 of files, and of all files below directories, as sha256sum does.\n"+
		"Without a PATH: of the source tree of the Go distribution.\n\n")
	flag.PrintDefaults()
}

func (o options) check() error {
	const most = 1000
	if o.runners < 1 || o.runners > most {
		return fmt.Errorf("-runners is %d: it must be from 1 to %d", o.runners, most)
	}
	if o.concurrency < 1 || o.concurrency > most {
		return fmt.Errorf("-concurrency is %d: it must be from 1 to %d", o.concurrency, most)
	}
	return nil
}

// run prints the checksum of every file and says how many have none.
func run(ctx context.Context, o options) (failed int, err error) {
	if len(o.paths) == 0 {
		if o.paths, err = goSource(ctx); err != nil {
			return 0, err
		}
	}
	progress := newProgress(o.paths)
	defer progress.finish()
	stdout, stderr := progress.above(os.Stdout), progress.above(os.Stderr)
	pool, err := flame.Open(ctx, flame.Config{
		Max: o.runners, MaxConcurrency: o.concurrency,
		Backend: process.New(process.Options{Output: stderr}),
		Logger:  slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return 0, err
	}
	defer pool.Close()

	for f, err := range hashAll(ctx, pool, o.runners*o.concurrency, o.paths) {
		if err != nil {
			return failed, err
		}
		if f.err != nil {
			failed++
			fmt.Fprintf(stderr, "checksum: %s\n", f.problem())
			continue
		}
		if _, err := io.WriteString(stdout, f.line()); err != nil {
			return failed, err
		}
		progress.done(f)
	}
	return failed, context.Cause(ctx)
}

// goSource is the source tree of the Go distribution.
func goSource(ctx context.Context) ([]string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("no PATH is given, and the Go distribution is not found: go env GOROOT: %w", err)
	}
	return []string{filepath.Join(strings.TrimSpace(string(out)), "src")}, nil
}

// Checksum hashes files on runners and prints what sha256sum prints, so that "sha256sum -c" agrees.
//
//	go run ./examples/checksum [flags] [PATH…]
//
// A directory stands for all regular files below it. Without a PATH it hashes the source tree of the Go distribution.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/fleetinglambda/flame"
)

func main() {
	runners := flag.Int("runners", runtime.NumCPU(), "how many runner processes there are at most")
	concurrency := flag.Int("concurrency", 4, "how many files a runner hashes at a time")
	flag.Usage = usage
	flag.Parse()
	flame.ServeIfRunner()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	failed, err := run(ctx, *runners, *concurrency, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "checksum:", err)
	}
	if failed > 0 || err != nil {
		os.Exit(1)
	}
}

func usage() {
	fmt.Fprintln(flag.CommandLine.Output(), "usage: checksum [flags] [PATH…]\n\n"+
		"Prints the SHA-256 of files, and of all files below directories, as sha256sum does.\n"+
		"Without a PATH: of the source tree of the Go distribution.")
	flag.PrintDefaults()
}

// run prints the checksum of every file and says how many could not be read.
func run(ctx context.Context, runners, concurrency int, paths []string) (failed int, err error) {
	if len(paths) == 0 {
		if paths, err = goSource(ctx); err != nil {
			return 0, err
		}
	}
	pool, err := flame.Open(ctx, flame.Config{Name: "checksum", Max: runners, MaxConcurrency: concurrency})
	if err != nil {
		return 0, err
	}
	defer pool.Close()

	start, progress := time.Now(), newProgress()
	for sum := range hashAll(ctx, pool, runners*concurrency, paths) {
		if sum.err != nil {
			failed++
			progress.print(os.Stderr, "checksum: %v\n", sum.err)
			continue
		}
		progress.done(sum.size)
		progress.print(os.Stdout, "%s\n", line(sum.hex, sum.path))
	}
	progress.finish(time.Since(start))
	return failed, context.Cause(ctx)
}

// goSource is the source tree of the Go distribution that runs this program.
func goSource(ctx context.Context) ([]string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("no PATH was given, and the Go distribution was not found: go env GOROOT: %w", err)
	}
	return []string{filepath.Join(strings.TrimSpace(string(out)), "src")}, nil
}

// line is one line of sha256sum's output. It marks a name with a backslash or a line break in it by a backslash in
// front, and escapes these.
func line(hex, path string) string {
	escaped := strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`).Replace(path)
	if escaped != path {
		hex = `\` + hex
	}
	return hex + "  " + escaped
}

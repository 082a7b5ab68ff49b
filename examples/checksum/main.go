// Checksum hashes files on runners and prints what sha256sum prints, so that "sha256sum -c" agrees.
//
//	go run ./examples/checksum [flags] [PATH or s3://BUCKET/PREFIX…]
//	go run ./examples/checksum -c [flags] [LIST…]
//	go run ./examples/checksum -serve localhost:8080 [flags]
//
// A directory stands for all regular files below it, s3://BUCKET/PREFIX for the object of that name or all whose names
// begin so. Without any it hashes the source tree of the Go distribution. With -c it checks what such lists say.
// With -serve it shows a web page on which files are hashed while they are uploaded.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend/process"
)

// options are the flags and what follows them.
type options struct {
	runners     int
	concurrency int
	check       bool
	serve       string   // an address, or ""
	records     string   // the path of the database, with serve
	paths       []string // or lists, with check
}

func main() {
	var o options
	flag.IntVar(&o.runners, "runners", runtime.NumCPU(), "how many runner processes there are at most")
	flag.IntVar(&o.concurrency, "concurrency", 4, "how many files a runner reads at a time")
	flag.BoolVar(&o.check, "c", false, "read checksums from LISTs (or stdin) and check them, as sha256sum -c does")
	flag.StringVar(&o.serve, "serve", "", "the address to show a web page on, such as localhost:8080")
	flag.StringVar(&o.records, "db", "checksums.db", "with -serve: the SQLite database in which checksums are recorded")
	flag.Usage = usage
	flag.Parse()
	client := newClient(context.Background())
	flame.PerProcess("s3", client)
	records, err := openRecords(o.records)
	flame.PerProcess("records", records)
	flame.ServeIfRunner()

	o.paths = flag.Args()
	if err := cmp.Or(err, o.valid()); err != nil {
		fmt.Fprintf(os.Stderr, "checksum: %v\n", err)
		os.Exit(2)
	}
	signal.Ignore(syscall.SIGPIPE) // a reader that leaves early is an error of the write
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	failed := 0
	if o.serve != "" {
		err = serve(ctx, client, records, o)
	} else {
		failed, err = run(ctx, client, o)
	}
	if err != nil && !errors.Is(err, syscall.EPIPE) {
		fmt.Fprintf(os.Stderr, "checksum: %v\n", err)
	}
	if o.check && failed > 0 {
		fmt.Fprintf(os.Stderr, "checksum: of what the lists say, %d could not be confirmed\n", failed)
	}
	if failed > 0 || err != nil {
		os.Exit(1)
	}
}

func usage() {
	fmt.Fprint(flag.CommandLine.Output(), "usage: checksum [flags] [PATH or s3://BUCKET/PREFIX…]\n"+
		"       checksum -c [flags] [LIST…]\n"+
		"       checksum -serve ADDRESS [flags]\n\n"+
		"Prints the SHA-256 of files, of all files below directories, and of objects in S3, as sha256sum does.\n"+
		"Without a PATH: of the source tree of the Go distribution. With -c: checks such LISTs.\n"+
		"With -serve: of what is uploaded to a web page, while it is uploaded.\n"+
		"S3 is found by the usual AWS_… variables and ~/.aws.\n\n")
	flag.PrintDefaults()
}

func (o options) valid() error {
	const most = 1000
	if o.runners < 1 || o.runners > most {
		return fmt.Errorf("-runners is %d: it must be from 1 to %d", o.runners, most)
	}
	if o.concurrency < 1 || o.concurrency > most {
		return fmt.Errorf("-concurrency is %d: it must be from 1 to %d", o.concurrency, most)
	}
	if o.serve != "" && (o.check || len(o.paths) > 0) {
		return errors.New("-serve hashes what is uploaded: leave out -c and the paths")
	}
	return nil
}

// run prints the checksum of every file, or whether it is right, and says how many have none that is.
func run(ctx context.Context, client *s3.Client, o options) (failed int, err error) {
	files, err := o.files(ctx, client)
	if err != nil {
		return 0, err
	}
	progress := newProgress(files)
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

	for f, err := range hashAll(ctx, pool, client, o.runners*o.concurrency, files) {
		if err != nil {
			return failed, err
		}
		if f.err != nil {
			fmt.Fprintf(stderr, "checksum: %s\n", f.problem())
		} else {
			progress.done(f)
		}
		if f.failed() {
			failed++
		}
		if _, err := io.WriteString(stdout, f.line()); err != nil {
			return failed, err
		}
	}
	return failed, context.Cause(ctx)
}

// files are those to hash, as they are found. If there are objects among them, the client is ready.
func (o options) files(ctx context.Context, client *s3.Client) (iter.Seq[file], error) {
	files, objects := find(ctx, client, o.paths), slices.ContainsFunc(o.paths, isObject)
	switch {
	case o.check:
		all := readLists(o.paths)
		files, objects = listed(all), slices.ContainsFunc(all, func(f file) bool { return f.want != "" && isObject(f.path) })
	case len(o.paths) == 0:
		source, err := goSource(ctx)
		return find(ctx, client, source), err
	}
	if objects {
		return files, ready(ctx, client)
	}
	return files, nil
}

// goSource is the source tree of the Go distribution.
func goSource(ctx context.Context) ([]string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("no PATH is given, and the Go distribution is not found: go env GOROOT: %w", err)
	}
	return []string{filepath.Join(strings.TrimSpace(string(out)), "src")}, nil
}

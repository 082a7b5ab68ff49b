package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"strconv"
	"strings"
)

// file is something to hash, and what came of it.
type file struct {
	path string
	size int64 // as it was found, then as it was read
	hex  string
	err  error // why there is no hex
}

// find yields the regular files at and below the paths, each named as find(1) names it, and what stands in the way
// of finding them. A link is followed if it is one of the paths.
func find(paths []string) iter.Seq[file] {
	return func(yield func(file) bool) {
		for _, path := range paths {
			info, err := os.Stat(path)
			var goOn bool
			switch {
			case err != nil:
				goOn = yield(file{path: path, err: err})
			case info.IsDir():
				goOn = findBelow(path, yield)
			case !info.Mode().IsRegular():
				goOn = yield(file{path: path, err: errors.New("neither a regular file nor a directory")})
			default:
				goOn = yield(file{path: path, size: info.Size()})
			}
			if !goOn {
				return
			}
		}
	}
}

// findBelow does so for one directory and returns false when yield has.
func findBelow(dir string, yield func(file) bool) bool {
	entries, err := os.ReadDir(dir)
	if err != nil && !yield(file{path: dir, err: err}) {
		return false
	}
	for _, entry := range entries { // those that were read before the error, too
		path, goOn := strings.TrimSuffix(dir, "/")+"/"+entry.Name(), true
		switch {
		case entry.IsDir():
			goOn = findBelow(path, yield)
		case entry.Type().IsRegular():
			f := file{path: path}
			info, err := entry.Info()
			if f.err = err; err == nil {
				f.size = info.Size()
			}
			goOn = yield(f)
		}
		if !goOn {
			return false
		}
	}
	return true
}

const (
	batchBytes = 1 << 20
	batchFiles = 64
)

// batches puts small files together so that a call has enough to do.
func batches(files iter.Seq[file]) iter.Seq[[]file] {
	return func(yield func([]file) bool) {
		var batch []file
		var bytes int64
		for f := range files {
			if len(batch) == batchFiles || len(batch) > 0 && bytes+f.size > batchBytes {
				if !yield(batch) {
					return
				}
				batch, bytes = nil, 0
			}
			batch, bytes = append(batch, f), bytes+f.size
		}
		if len(batch) > 0 {
			yield(batch)
		}
	}
}

// hash reads the file. It runs on a runner.
func (f *file) hash(ctx context.Context) error {
	r, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer r.Close()
	h := sha256.New()
	f.size, err = io.Copy(h, untilDone{ctx, r})
	f.hex = hex.EncodeToString(h.Sum(nil))
	return err
}

// untilDone reads from r until ctx ends.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u untilDone) Read(b []byte) (int, error) {
	if err := context.Cause(u.ctx); err != nil {
		return 0, err
	}
	return u.r.Read(b)
}

// line is what sha256sum prints of a file. It escapes a name with a backslash or a line break in it, and says so by
// a backslash in front.
func (f *file) line() string {
	name, mark := strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`).Replace(f.path), ""
	if name != f.path {
		mark = `\`
	}
	return mark + f.hex + "  " + name + "\n"
}

// problem is why there is no checksum, with the name quoted if a terminal could misread it.
func (f *file) problem() string {
	name, err := f.path, f.err
	if quoted := strconv.Quote(name); name == "" || quoted != `"`+name+`"` {
		name = quoted
	}
	if of := new(fs.PathError); errors.As(err, &of) {
		err = of.Err // which has come from a runner like any other value
	}
	return name + ": " + err.Error()
}

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

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// file is something to hash, a file or an object in S3, and what came of it.
type file struct {
	path string
	size int64 // as it was found, or unknown; then as it was read
	hex  string
	err  error  // why there is no hex
	want string // what hex shall be, if a list says so
}

// unknown is the size of what nobody has looked at yet.
const unknown = -1

// find yields the regular files at and below the paths, each named as find(1) names it, the objects of s3:// names,
// and what stands in the way of finding them. A link is followed if it is one of the paths.
func find(ctx context.Context, client *s3.Client, paths []string) iter.Seq[file] {
	return func(yield func(file) bool) {
		for _, path := range paths {
			var goOn bool
			if isObject(path) {
				goOn = findObjects(ctx, client, path, yield)
			} else if f, isDir := look(path); isDir {
				goOn = findBelow(path, yield)
			} else {
				goOn = yield(f)
			}
			if !goOn {
				return
			}
		}
	}
}

// look finds out what a path names.
func look(path string) (f file, isDir bool) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return file{path: path, err: err}, false
	case info.IsDir():
		return file{path: path}, true
	case !info.Mode().IsRegular():
		return file{path: path, err: errors.New("neither a regular file nor a directory")}, false
	}
	return file{path: path, size: info.Size()}, false
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
	batchBytes   = 1 << 20
	batchFiles   = 64
	requestBytes = batchBytes / 4 // that can be read while a request for an object is on its way
)

// batches puts small files together so that a call has enough to do.
func batches(files iter.Seq[file]) iter.Seq[[]file] {
	return func(yield func([]file) bool) {
		var batch []file
		var cost int64
		for f := range files {
			if len(batch) == batchFiles || len(batch) > 0 && cost+f.cost() > batchBytes {
				if !yield(batch) {
					return
				}
				batch, cost = nil, 0
			}
			batch, cost = append(batch, f), cost+f.cost()
		}
		if len(batch) > 0 {
			yield(batch)
		}
	}
}

// cost is how much work the file will be, in bytes read from a disk.
func (f *file) cost() int64 {
	switch {
	case f.size == unknown:
		return batchBytes
	case isObject(f.path):
		return f.size + requestBytes
	}
	return f.size
}

// hash reads the file or the object. It runs on a runner.
func (f *file) hash(ctx context.Context, client *s3.Client) error {
	r, err := f.open(ctx, client)
	if err != nil {
		return err
	}
	defer r.Close()
	h := sha256.New()
	f.size, err = io.Copy(h, untilDone{ctx, r})
	f.hex = hex.EncodeToString(h.Sum(nil))
	return err
}

func (f *file) open(ctx context.Context, client *s3.Client) (io.ReadCloser, error) {
	if isObject(f.path) {
		return openObject(ctx, client, f.path)
	}
	return os.Open(f.path)
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

// failed says whether there is no checksum, or not the one that there should be.
func (f *file) failed() bool { return f.err != nil || f.want != "" && f.hex != f.want }

// line is what sha256sum prints of a file: if it is being checked, whether it is right, otherwise its checksum, if
// there is one.
func (f *file) line() string {
	name, mark := escape(f.path)
	switch {
	case f.want != "":
		return f.verdict()
	case f.err != nil:
		return ""
	}
	return mark + f.hex + "  " + name + "\n"
}

// escape makes one line of a name with backslashes or line breaks in it. A backslash in front says so.
func escape(path string) (name, mark string) {
	name = strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`).Replace(path)
	if name != path {
		mark = `\`
	}
	return name, mark
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

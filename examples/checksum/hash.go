package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/fleetinglambda/flame"
)

// sum is the checksum of one file, or why there is none.
type sum struct {
	path string
	hex  string
	size int64
	err  error
}

// hashAll yields the checksums of the files at and below the paths, in that order. Up to window files
// are under way at a time. Leaving the loop early cancels the rest.
func hashAll(ctx context.Context, pool *flame.Pool, window int, paths []string) iter.Seq[sum] {
	return func(yield func(sum) bool) {
		ctx, cancel := context.WithCancel(ctx)
		pending := make(chan chan sum, window) // closed when every file has been found
		var g errgroup.Group
		g.SetLimit(window + 1)
		g.Go(func() error {
			defer close(pending)
			for path, err := range files(paths) {
				result := make(chan sum, 1)
				select {
				case pending <- result:
				case <-ctx.Done():
					return nil
				}
				g.Go(func() error {
					result <- hash(ctx, pool, path, err)
					return nil
				})
			}
			return nil
		})
		defer g.Wait()
		defer cancel()
		for result := range pending {
			if !yield(<-result) {
				return
			}
		}
	}
}

// hash has a runner hash the file, unless finding it has failed already.
func hash(ctx context.Context, pool *flame.Pool, path string, err error) sum {
	if err != nil {
		return sum{path: path, err: err}
	}
	s, err := flame.Call(ctx, pool, func(ctx context.Context) (sum, error) {
		// This runs on a runner; path has come along.
		f, err := os.Open(path)
		if err != nil {
			return sum{}, err
		}
		defer f.Close()
		h := sha256.New()
		n, err := io.Copy(h, &untilDone{ctx, f})
		return sum{path: path, hex: hex.EncodeToString(h.Sum(nil)), size: n}, err
	}, flame.Timeout(-1)) // a file takes as long as it is large
	if err != nil {
		return sum{path: path, err: err}
	}
	return s
}

// untilDone reads from r until ctx ends.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u *untilDone) Read(b []byte) (int, error) {
	if err := context.Cause(u.ctx); err != nil {
		return 0, err
	}
	return u.r.Read(b)
}

// files yields the regular files at and below the paths, or why one cannot be visited.
func files(paths []string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, root := range paths {
			err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
				switch {
				case err == nil && d.IsDir(), err == nil && path != root && !d.Type().IsRegular():
					return nil
				case err == nil && path == root:
					err = regular(path)
				}
				if !yield(path, err) {
					return filepath.SkipAll
				}
				return nil
			})
			if err != nil && !yield(root, err) {
				return
			}
		}
	}
}

// regular says why a path that was named, perhaps through a link, is not a regular file.
func regular(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	return err
}

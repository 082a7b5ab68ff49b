package main

import (
	"context"
	"iter"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/fleetinglambda/flame"
)

// hashed is a batch that has been to a runner, or why none could take it.
type hashed struct {
	batch []file
	err   error
}

// hashAll has runners hash the files and yields them in the same order. Up to window batches are under way at a time.
// It ends with the first error that is not about a file. Leaving the loop early cancels the rest.
func hashAll(ctx context.Context, pool *flame.Pool, client *s3.Client, window int, files iter.Seq[file]) iter.Seq2[file, error] {
	return func(yield func(file, error) bool) {
		var wg sync.WaitGroup
		defer wg.Wait()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		line := make(chan chan hashed, window-1) // and the one that is awaited; closed when every file has been found
		wg.Go(func() {
			defer close(line)
			for batch := range batches(files) {
				place := make(chan hashed, 1)
				select {
				case line <- place:
				case <-ctx.Done():
					return
				}
				wg.Go(func() { place <- hash(ctx, pool, client, batch) })
			}
		})
		for place := range line {
			h := <-place
			if h.err != nil {
				yield(file{}, h.err)
				return
			}
			for _, f := range h.batch {
				if !yield(f, nil) {
					return
				}
			}
		}
	}
}

// hash has a runner hash the files of a batch, unless finding them has failed already.
func hash(ctx context.Context, pool *flame.Pool, client *s3.Client, batch []file) hashed {
	done, err := flame.Call(ctx, pool, func(ctx context.Context) ([]file, error) {
		// This runs on a runner. The batch has come along, and goes back changed. The client has not: this one is the
		// runner's own, as main says with PerProcess.
		for i := range batch {
			if f := &batch[i]; f.err == nil {
				f.err = f.hash(ctx, client)
			}
		}
		return batch, nil
	}, flame.Timeout(-1)) // it takes as long as the files are large
	if err == nil {
		return hashed{batch: done}
	}
	if ctx.Err() != nil {
		return hashed{err: context.Cause(ctx)}
	}
	if !flame.Ran(err) {
		return hashed{err: err} // nor would the next
	}
	for i := range batch {
		batch[i].err = err // the runner was lost; there will be another
	}
	return hashed{batch: batch}
}

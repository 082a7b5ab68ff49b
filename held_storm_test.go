//go:build linux

package flame_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
)

// errStorm is why contexts end in a storm.
var errStorm = errors.New("the storm has come")

// TestF13_HoweverManyEndAtOnceEveryReaderEndsOnce has readers closed, cancelled, lost and read to their end at the same time.
func TestF13_HoweverManyEndAtOnceEveryReaderEndsOnce(t *testing.T) {
	for name, isolation := range map[string]flame.Isolation{"Shared": flame.Shared, "PerCall": flame.PerCall} {
		t.Run(name, func(t *testing.T) {
			log := new(paper)
			p, _ := open(t, flame.Config{
				Max: 2, MaxConcurrency: 4, Isolation: isolation, Logger: slog.New(slog.NewTextHandler(log, nil)),
			})
			file, want := paperFile(t, 1<<20)
			var wg sync.WaitGroup
			for seed := range uint64(8) {
				wg.Go(func() {
					r := rand.New(rand.NewPCG(seed, 0))
					for range 15 {
						if err := storm(p, file, want, r); err != nil {
							t.Errorf("[seed %d] %v", seed, err)
							return
						}
					}
				})
			}
			wg.Wait()
			for start := time.Now(); p.Stats().Running > 0; runtime.GC() {
				if time.Since(start) > patience {
					t.Fatalf("slots are held: %+v", p.Stats())
				}
			}
			if s := p.Stats(); s.Arrived != 120 || s.Ended != 120 || s.Boots != 2 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// storm has one reader end in one way or another, or in several at once.
func storm(p *flame.Pool, file string, want []byte, r *rand.Rand) error {
	how := r.IntN(5)
	ctx, cancel := context.WithCancelCause(context.Background())
	defer func() {
		if how > 0 {
			cancel(nil)
		}
		runtime.GC() // nobody has the reader any more
	}()
	in, err := flame.Call(ctx, p, func(context.Context) (io.ReadCloser, error) { return os.Open(file) })
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	pause := func() {
		for range r.IntN(2000) {
			runtime.Gosched()
		}
	}
	if how == 1 || how == 2 {
		wg.Go(func() { cancel(errStorm) })
	}
	if how == 2 || how == 3 {
		wg.Go(func() { in.Close() })
	}
	pause()
	most := r.IntN(2 * len(want))
	got, err := io.ReadAll(io.LimitReader(in, int64(most)))
	switch {
	case !bytes.HasPrefix(want, got):
		return fmt.Errorf("it read something else")
	case err == nil && len(got) < min(most, len(want)):
		return fmt.Errorf("the end came after %d bytes", len(got))
	case err == nil, errors.Is(err, os.ErrClosed) && how > 1, errors.Is(err, errStorm) && (how == 1 || how == 2):
		return nil // and is perhaps not closed
	}
	return fmt.Errorf("%d bytes, %w", len(got), err)
}

package bench

import (
	"context"
	"log/slog"
	"os"
	"testing"

	"github.com/fleetinglambda/flame"
)

// ours is a warm pool of one runner, called with a function that does nothing.
func ours(tb testing.TB) remote {
	return empty(onePool(tb, flame.Config{}))
}

// empty calls a function on p that does nothing.
func empty(p *flame.Pool) remote {
	return func() error {
		_, err := flame.Call(context.Background(), p, func(context.Context) (struct{}, error) { return struct{}{}, nil })
		return err
	}
}

// ourRunner returns the process id of a runner that has answered a call.
func ourRunner(tb testing.TB) int {
	tb.Helper()
	pid, err := flame.Call(tb.Context(), onePool(tb, flame.Config{}), func(context.Context) (int, error) { return os.Getpid(), nil })
	if err != nil {
		tb.Fatal(err)
	}
	return pid
}

// onePool opens a pool whose one runner is up, and closes it when the test ends.
func onePool(tb testing.TB, c flame.Config) *flame.Pool {
	tb.Helper()
	c.Min, c.Logger = 1, slog.New(slog.DiscardHandler)
	p, err := flame.Open(tb.Context(), c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := p.Close(); err != nil {
			tb.Error(err)
		}
	})
	return p
}

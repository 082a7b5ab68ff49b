//go:build linux

package flame_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/backend/inproc"
)

// graveyard is a backend that has something to reap now and then.
type graveyard struct {
	backend.Local
	mu    sync.Mutex
	asked int
}

func (g *graveyard) Reap(ctx context.Context, dryRun bool) ([]string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch g.asked++; {
	case dryRun:
		return nil, errors.New("a pool does not ask for a dry run")
	case g.asked == 2:
		return []string{"left-1", "left-2"}, nil
	case g.asked == 3:
		return nil, errors.New("the engine is down")
	}
	return nil, nil
}

func (g *graveyard) times() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.asked
}

func TestB11_APoolHasWhatDeadParentsLeftRemovedNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(paper)
		g := &graveyard{Local: inproc.New().(backend.Local)}
		p, err := flame.Open(t.Context(), flame.Config{Name: "reap", Backend: g, Logger: slog.New(slog.NewTextHandler(log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := g.times(); n != 1 {
			t.Errorf("asked %d times when it was opened", n)
		}
		<-time.After(21 * time.Minute)
		p.Close()
		if n := g.times(); n != 3 {
			t.Errorf("asked %d times in 21 minutes", n)
		}
		if text := log.read(); !strings.Contains(text, "left-1 left-2") || !strings.Contains(text, "the engine is down") {
			t.Error(text)
		}
	})
}

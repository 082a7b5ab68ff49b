//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend/process"
	"github.com/fleetinglambda/flame/internal/load"
)

// soaked is one pool with its load, and what happens to it.
type soaked struct {
	load.Load
	name    string
	harmed  *harmed
	events  map[flame.EventKind]int
	stop    func()
	harm    map[string]int
	counts  map[string]int
	problem []string
}

func open(name string, journal *load.Journal, seed uint64) (*soaked, error) {
	s := &soaked{name: name, harm: make(map[string]int), harmed: &harmed{Backend: process.New(process.Options{Output: io.Discard})}}
	config := flame.Config{
		Name: name, Backend: s.harmed, Max: 3, MaxConcurrency: 8, MaxQueue: 500,
		KillGrace: 2 * time.Second, IdleShutdownAfter: 3 * time.Second, ShutdownTimeout: 10 * time.Second, MaxRunnerAge: time.Minute,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	switch name {
	case "dialled":
		line, err := newLine()
		if err != nil {
			return nil, err
		}
		s.harmed.line = line
		config.Backend = dialled{s.harmed}
	case "percall":
		config.Isolation, config.MaxConcurrency = flame.PerCall, 4
	}
	p, err := flame.Open(context.Background(), config)
	if err != nil {
		return nil, err
	}
	s.Load = load.Load{
		Pool: p, Journal: journal, Rand: rand.New(rand.NewPCG(seed, 0)), Timeout: 30 * time.Second,
		Longest: time.Second, Grid: 10 * time.Millisecond, Slack: 3 * time.Second, Stubborn: true,
	}
	s.Expect(load.Loss | load.NoBoot)
	s.events = make(map[flame.EventKind]int)
	s.stop = p.Subscribe(func(e flame.Event) { s.events[e.Kind]++ })
	return s, nil
}

// play begins calls and does harm until ctx ends, and closes the pool.
func (s *soaked) play(ctx context.Context, every time.Duration) {
	for ctx.Err() == nil {
		switch s.Rand.IntN(200) {
		case 0:
			s.harm[s.harmed.harm(ctx, s.Rand)]++
		case 1:
			if err := s.Pool.Resize(s.Rand.IntN(2), 1+s.Rand.IntN(4)); err != nil {
				s.Fail("resize: %v", err)
			}
		default:
			s.Begin()
		}
		<-time.After(time.Duration(s.Rand.Float64() * 2 * float64(every)))
	}
	s.Expect(load.Closing)
	end, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Pool.Shutdown(end); err != nil {
		s.Fail("shutdown: %v", err)
	}
	s.Wait()
	s.stop()
	s.harmed.end()
}

// sumUp prints what became of the calls, and returns how much was wrong.
func (s *soaked) sumUp(dir string) (int, error) {
	starts, err := load.ReadStarts(filepath.Join(dir, s.name))
	if err != nil {
		return 0, err
	}
	s.counts, s.problem = s.Outcomes(starts)
	total := 0
	for _, n := range s.counts {
		total += n
	}
	fmt.Printf("\n%s: %d calls with an outcome: %s\n", s.name, total, list(s.counts))
	fmt.Printf("  runners booted %d, boots failed %d, gone %d; calls retried %d, moved %d\n", s.events[flame.RunnerUp],
		s.events[flame.BootFailed], s.events[flame.RunnerGone], s.events[flame.CallRetried], s.events[flame.CallMoved])
	fmt.Printf("  faults: %s\n  wrong outcomes: %d\n", list(s.harm), len(s.problem))
	for _, what := range s.problem[:min(20, len(s.problem))] {
		fmt.Println("   ", what)
	}
	return len(s.problem), nil
}

func list(counts map[string]int) string {
	var said []string
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		said = append(said, fmt.Sprintf("%d %s", counts[kind], kind))
	}
	return strings.Join(said, ", ")
}

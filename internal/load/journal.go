package load

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"sync"
	"time"
)

// Journal is what the functions of a load have done. Every process has its own.
type Journal struct {
	mu      sync.Mutex // guards what follows
	started map[int]int
	file    io.Writer
}

// NewJournal returns one. With a file, each start is a line of it as well, so that what several processes
// have done can be read there.
func NewJournal(file io.Writer) *Journal { return &Journal{started: make(map[int]int), file: file} }

// begin notes that the function of an act runs.
func (j *Journal) begin(act int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.started[act]++
	if j.file == nil {
		return
	}
	if _, err := fmt.Fprintln(j.file, act); err != nil {
		panic(fmt.Sprintf("write the journal: %v", err))
	}
}

// Starts returns how often the function of each act was started in this process.
func (j *Journal) Starts() map[int]int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return maps.Clone(j.started)
}

// ReadStarts returns how often the function of each act was started in any process that had this file as its journal's.
func ReadStarts(name string) (map[int]int, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	starts := make(map[int]int)
	for {
		var act int
		switch _, err := fmt.Fscanln(file, &act); err {
		case nil:
			starts[act]++
		case io.EOF:
			return starts, nil
		default:
			return nil, fmt.Errorf("read the journal %s: %w", name, err)
		}
	}
}

// pause lasts d, or until ctx has ended if the function heeds that.
func pause(ctx context.Context, d time.Duration, heed bool) error {
	if !heed {
		<-time.After(d)
		return nil
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

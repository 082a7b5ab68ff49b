package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// soFar is how far a runner is with something.
type soFar struct {
	Bytes int64   `json:"bytes"`
	Speed float64 `json:"speed"` // in bytes per second, since it was told last
	PID   int     `json:"pid"`   // of the runner
}

// hashStream hashes what r has to read, and tells news when it begins and ten times a second how far it is. It runs on a
// runner.
func hashStream(ctx context.Context, r io.Reader, news chan<- soFar) (checksum, error) {
	select {
	case news <- soFar{PID: os.Getpid()}:
	case <-ctx.Done():
		return checksum{}, context.Cause(ctx)
	}
	var m meter
	var wg sync.WaitGroup
	telling, done := context.WithCancel(ctx)
	wg.Go(func() { m.tell(telling, news) })
	h := sha256.New()
	size, err := io.Copy(io.MultiWriter(h, &m), untilDone{ctx, r})
	done()
	wg.Wait()
	return checksum{Size: size, SHA256: hex.EncodeToString(h.Sum(nil)), PID: os.Getpid()}, err
}

// meter counts the bytes that are written to it.
type meter struct{ bytes atomic.Int64 }

func (m *meter) Write(b []byte) (int, error) {
	m.bytes.Add(int64(len(b)))
	return len(b), nil
}

// tell tells news how many there are until ctx ends. Whoever is told may be slow: hashing goes on meanwhile.
func (m *meter) tell(ctx context.Context, news chan<- soFar) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for before, at := int64(0), time.Now(); ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		bytes, now := m.bytes.Load(), time.Now()
		select {
		case news <- soFar{bytes, float64(bytes-before) / now.Sub(at).Seconds(), os.Getpid()}:
			before, at = bytes, now
		case <-ctx.Done():
			return
		}
	}
}

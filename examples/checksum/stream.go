package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
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
	m := &meter{news: news, told: time.Now()}
	select {
	case news <- soFar{PID: os.Getpid()}:
	case <-ctx.Done():
		return checksum{}, context.Cause(ctx)
	}
	h := sha256.New()
	size, err := io.Copy(io.MultiWriter(h, m), untilDone{ctx, r})
	return checksum{Size: size, SHA256: hex.EncodeToString(h.Sum(nil)), PID: os.Getpid()}, err
}

// meter tells how much has been written to it.
type meter struct {
	news  chan<- soFar
	bytes int64
	told  time.Time
	then  int64 // the bytes when it told
}

func (m *meter) Write(b []byte) (int, error) {
	m.bytes += int64(len(b))
	if took := time.Since(m.told); took > 100*time.Millisecond {
		select {
		case m.news <- soFar{m.bytes, float64(m.bytes-m.then) / took.Seconds(), os.Getpid()}:
			m.told, m.then = time.Now(), m.bytes
		default: // whoever is told is slow, and hashing is not
		}
	}
	return len(b), nil
}

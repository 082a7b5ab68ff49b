package bench

import (
	"context"
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/bench/frames"
)

// streamed is the size of the file.
const streamed = 1 << 30

// BenchmarkP05_Stream is a file of 1 GiB in the page cache, read through a captured io.Reader and hashed on the
// runner, beside the same file sent in chunks and hashed at the other end.
func BenchmarkP05_Stream(b *testing.B) {
	file := cached(b, streamed)
	p := onePool(b, flame.Config{})
	raw := bootBlocking(b, "hash")
	contest{
		unit: "MB/s", rounds: 7,
		sides: []side{
			{"ours", func() float64 {
				return hashed(b, file, func(r io.Reader) ([sha256.Size]byte, error) { return hashOnRunner(p, r) })
			}},
			{"raw chunks", func() float64 {
				return hashed(b, file, func(r io.Reader) ([sha256.Size]byte, error) { return frames.HashStream(raw, r, streamed) })
			}},
		},
		bars: []bar{{ours: "ours", reference: "raw chunks", least: 0.9}},
	}.run(b)
}

// BenchmarkP05_Memory is how much the two processes grow while 4 GiB are streamed through a pool whose messages may
// have 64 MiB.
func BenchmarkP05_Memory(b *testing.B) {
	p := onePool(b, flame.Config{MessageLimit: 64 << 20})
	runner := runnerOf(b, p)
	for b.Loop() {
		tidy(b, p)
		parent, child := peakOf(b, os.Getpid()), peakOf(b, runner)
		begun := time.Now()
		if _, err := hashOnRunner(p, io.LimitReader(zeros{}, 4*streamed)); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(4*streamed/1e6/time.Since(begun).Seconds(), "MB/s")
		report(b, "parent", "MiB", []float64{float64(parent()) / (1 << 20)}, 64)
		report(b, "runner", "MiB", []float64{float64(child()) / (1 << 20)}, 64)
	}
	b.ReportMetric(0, "ns/op")
}

// hashOnRunner reads r on the runner.
func hashOnRunner(p *flame.Pool, r io.Reader) (sum [sha256.Size]byte, err error) {
	in := struct{ io.Reader }{r}
	return flame.Call(context.Background(), p, func(context.Context) (sum [sha256.Size]byte, err error) {
		h := sha256.New()
		if _, err := io.CopyBuffer(h, in.Reader, make([]byte, frames.Chunk)); err != nil {
			return sum, err
		}
		return [sha256.Size]byte(h.Sum(nil)), nil
	})
}

// hashed has the file hashed and returns the MB per second.
func hashed(tb testing.TB, file *os.File, hash func(io.Reader) ([sha256.Size]byte, error)) float64 {
	tb.Helper()
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		tb.Fatal(err)
	}
	begun := time.Now()
	sum, err := hash(file)
	took := time.Since(begun)
	if err != nil {
		tb.Fatal(err)
	}
	if sum == sha256.Sum256(nil) {
		tb.Fatal("the hash is that of nothing")
	}
	return streamed / 1e6 / took.Seconds()
}

// cached makes a file whose pages have been read. It is gone when the benchmark ends.
func cached(tb testing.TB, size int64) *os.File {
	tb.Helper()
	file, err := os.Create(filepath.Join(tb.TempDir(), "stream"))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { file.Close() })
	block := noise(1 << 20)
	for range size / int64(len(block)) {
		if _, err := file.Write(block); err != nil {
			tb.Fatal(err)
		}
	}
	return file
}

// zeros is a stream without end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

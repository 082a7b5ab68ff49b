package pool

import (
	"context"
	"reflect"
	"runtime"
	"sync"
	"testing"
	"time"
)

// BenchmarkP08_Drain has ten thousand calls wait for one runner with a hundred slots, and end.
func BenchmarkP08_Drain(b *testing.B) {
	const many = 10_000
	c := &cloud{}
	config := c.config()
	config.Max, config.MaxConcurrency = 1, 100
	p, err := Open(b.Context(), config)
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	var took time.Duration
	var bytes, rounds float64
	for b.Loop() {
		release := hold(b, p, 100)
		var wg sync.WaitGroup
		wg.Add(many)
		msg := [][]byte{[]byte("echo")}
		before := heap()
		for range many {
			c := &Call{Encode: func() ([][]byte, error) { return msg, nil }, Ended: func(*Call) { wg.Done() }, Timeout: time.Minute}
			if err := p.Start(context.Background(), c); err != nil {
				b.Fatal(err)
			}
		}
		bytes += float64(heap()-before) / many
		begun := time.Now()
		release()
		wg.Wait()
		took += time.Since(begun)
		rounds++
	}
	b.ReportMetric(bytes/rounds, "B/waiting")
	b.ReportMetric(float64(reflect.TypeFor[Call]().Size()), "B/Call")
	b.ReportMetric(many*rounds/took.Seconds(), "calls/s")
}

// hold takes slots until they are released.
func hold(b *testing.B, p *Pool, slots int) (release func()) {
	ctx, cancel := context.WithCancel(b.Context())
	var held sync.WaitGroup
	for range slots {
		c := message("forever")
		held.Add(1)
		c.Sent = func(*Call) { held.Done() }
		c.Ended = func(*Call) {}
		if err := p.Start(ctx, c); err != nil {
			b.Fatal(err)
		}
	}
	held.Wait()
	return cancel
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

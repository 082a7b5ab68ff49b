package codec

import (
	"bytes"
	"context"
	"encoding/gob"
	"fmt"
	"testing"
	"time"
)

// Tree is a tree of structs that gob can encode too.
type Tree struct {
	Name        string
	Value       int
	Left, Right *Tree
}

func newTree(depth int) *Tree {
	if depth == 0 {
		return nil
	}
	return &Tree{Name: fmt.Sprint("node", depth), Value: depth, Left: newTree(depth - 1), Right: newTree(depth - 1)}
}

// Small is a small struct without pointers.
type Small struct {
	A, B int64
	C    float64
	D    bool
}

// compare runs the codec and gob over the same value, one after the other, and reports both and their ratio.
func compare[T any](b *testing.B, v T) {
	ours := func() int64 {
		msg, err := Encode(&v, Options{})
		if err != nil {
			b.Fatal(err)
		}
		data := msg[0]
		if len(msg) > 1 {
			data = join(msg)
		}
		var back T
		if err := Decode(data, &back, Untrusted); err != nil {
			b.Fatal(err)
		}
		return msg.Size()
	}
	theirs := func() {
		var buf bytes.Buffer
		var back T
		if err := gob.NewEncoder(&buf).Encode(&v); err != nil {
			b.Fatal(err)
		}
		if err := gob.NewDecoder(&buf).Decode(&back); err != nil {
			b.Fatal(err)
		}
	}
	var a, g time.Duration
	var size int64
	for b.Loop() {
		start := time.Now()
		size = ours()
		mid := time.Now()
		theirs()
		a, g = a+mid.Sub(start), g+time.Since(mid)
	}
	b.ReportMetric(float64(a.Nanoseconds())/float64(b.N), "ns/codec")
	b.ReportMetric(float64(g.Nanoseconds())/float64(b.N), "ns/gob")
	b.ReportMetric(float64(g)/float64(a), "x")
	b.ReportMetric(float64(size), "B")
}

func BenchmarkAgainstGob(b *testing.B) {
	floats := make([]float64, 1<<17)
	counts := make(map[string]int)
	for i := range 10000 {
		counts[fmt.Sprint("key", i)] = i
	}
	b.Run("floats", func(b *testing.B) { compare(b, floats) })
	b.Run("map", func(b *testing.B) { compare(b, counts) })
	b.Run("tree", func(b *testing.B) { compare(b, newTree(12)) })
	b.Run("structs", func(b *testing.B) { compare(b, make([]Small, 1<<20)) })
}

// handler returns a closure such as a handler sends: five captures, two of them by reference or behind pointers.
func handler() task {
	id, name, tags := 7, "a name", []string{"a", "b"}
	acc := &account{name: "ada", balance: 3}
	limit := 2.5
	return thunk[int]{func(context.Context) (int, error) {
		return id + len(name) + len(tags) + acc.balance + int(limit), nil
	}}
}

func BenchmarkClosure(b *testing.B) {
	f := handler()
	msg, err := Encode(&f, Options{})
	if err != nil {
		b.Fatal(err)
	}
	data := join(msg)
	b.Run("check", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := Check(&f); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Encode(&f, Options{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var back task
			if err := Decode(data, &back, Trusted); err != nil {
				b.Fatal(err)
			}
		}
	})
}

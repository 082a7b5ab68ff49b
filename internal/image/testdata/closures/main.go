// The program makes closures of many kinds, for executables of it to be surveyed.
package main

import (
	"bytes"
	"fmt"
	"io"
	"iter"
	"os"
	"sync"
	"time"
)

type point struct{ X, Y int }

func (p point) Sum() int     { return p.X + p.Y }
func (p *point) Move(dx int) { p.X += dx }

type box[T any] struct{ v T }

func (b *box[T]) get() func() T { return func() T { return b.v } }

//go:noinline
func keep(f any) { kept = append(kept, f) }

var kept []any

func inlined(n int, s string) func() string { return func() string { return s[:n] } }

//go:noinline
func generic[K comparable, V any](k K, v V) func() string {
	return func() string { return fmt.Sprint(k, v) }
}

//go:noinline
func nested[T any](v T) func() func() T { return func() func() T { return func() T { return v } } }

func count(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

func main() {
	n, s, f, big := len(os.Args), os.Args[0], 1.5, [40]int{1}
	p, q, when := &point{n, 2}, point{n, 4}, time.Now()
	var reader io.Reader = bytes.NewReader(nil)
	var stringer fmt.Stringer = when
	keep(func() int { return n })
	keep(func() string { return s })
	keep(func() (float64, *point, point) { return f, p, q })
	keep(func() int { return big[0] })
	keep(func() { n++; s += "x" })
	keep(func() (int, error) { return reader.Read(nil) })
	keep(inlined(1, "abc"))
	keep(p.Move)
	keep(q.Sum)
	keep(stringer.String)
	keep(generic("k", p))
	keep(generic(n, q))
	keep(generic(&n, when))
	keep(nested(q)())
	keep(nested(p))
	keep((&box[*point]{p}).get())
	for v := range count(3) {
		keep(func() string { return fmt.Sprint(v, s) })
		defer func() { fmt.Fprint(io.Discard, v, n) }()
	}
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() { fmt.Fprint(io.Discard, i, q) })
		wg.Add(1)
		go func(m int) { defer wg.Done(); fmt.Fprint(io.Discard, m, when) }(i)
		go p.Move(i)
		defer p.Move(i)
	}
	wg.Wait()
}

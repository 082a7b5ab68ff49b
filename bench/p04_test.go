package bench

import (
	"bytes"
	"context"
	"encoding/gob"
	"fmt"
	"math"
	"runtime"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/fleetinglambda/flame/internal/codec"
)

// node is a node of a tree of structs.
type node struct {
	Name        string
	Value       int
	Left, Right *node
}

func newTree(depth int) *node {
	if depth == 0 {
		return nil
	}
	return &node{Name: fmt.Sprint("node", depth), Value: depth, Left: newTree(depth - 1), Right: newTree(depth - 1)}
}

// point is a small struct. Its first field has cbor and msgpack leave out the names of the others, which is faster.
type point struct {
	_msgpack struct{} `cbor:",toarray" msgpack:",as_array"` //nolint:unused // read by their reflection
	A, B     int64
	C        float64
	D        bool
}

// wire is a way to turn a value into bytes and back.
type wire[T any] struct {
	name   string
	encode func(*T) [][]byte
	decode func([]byte, *T)
}

// wires are ours and what most Go programs use. A result is decoded as untrusted, which takes the longest.
func wires[T any](tb testing.TB) []wire[T] {
	must := func(err error) {
		if err != nil {
			tb.Fatal(err)
		}
	}
	whole := func(data []byte, err error) [][]byte { must(err); return [][]byte{data} }
	many, err := cbor.DecOptions{MaxArrayElements: math.MaxInt32, MaxMapPairs: math.MaxInt32}.DecMode()
	must(err)
	return []wire[T]{
		{
			"ours",
			func(v *T) [][]byte { m, err := codec.Encode(v, codec.Options{}); must(err); return m },
			func(data []byte, v *T) { must(codec.Decode(data, v, codec.Untrusted)) },
		},
		{
			"gob",
			func(v *T) [][]byte {
				var b bytes.Buffer
				err := gob.NewEncoder(&b).Encode(v)
				return whole(b.Bytes(), err)
			},
			func(data []byte, v *T) { must(gob.NewDecoder(bytes.NewReader(data)).Decode(v)) },
		},
		{
			"cbor",
			func(v *T) [][]byte { return whole(cbor.Marshal(v)) },
			func(data []byte, v *T) { must(many.Unmarshal(data, v)) },
		},
		{
			"msgpack",
			func(v *T) [][]byte { return whole(msgpack.Marshal(v)) },
			func(data []byte, v *T) { must(msgpack.Unmarshal(data, v)) },
		},
	}
}

// took does something n times, after the garbage of others is gone, and returns how many microseconds one took.
func took(n int, do func()) float64 {
	runtime.GC()
	begun := time.Now()
	for range n {
		do()
	}
	return float64(time.Since(begun).Nanoseconds()) / 1e3 / float64(n)
}

// values compares all wires over one value: encoded n times in a turn, decoded n times in a turn, and both.
func values[T any](b *testing.B, v T, n int) {
	all := wires[T](b)
	encode, decode := make([]func(), len(all)), make([]func(), len(all))
	for i, w := range all {
		data := bytes.Join(w.encode(&v), nil)
		encode[i] = func() { w.encode(&v) }
		decode[i] = func() { var back T; w.decode(data, &back) }
	}
	sides := func(do func(int)) (s []side) {
		for i, w := range all {
			s = append(s, side{w.name, func() float64 { return took(n, func() { do(i) }) }})
		}
		return s
	}
	race(b, "encode", sides(func(i int) { encode[i]() }))
	race(b, "decode", sides(func(i int) { decode[i]() }))
	race(b, "both", sides(func(i int) { encode[i](); decode[i]() }))
}

// race has the first of the sides be at least as fast as each other.
func race(b *testing.B, way string, sides []side) {
	var bars []bar
	for _, s := range sides[1:] {
		bars = append(bars, bar{ours: sides[0].name, reference: s.name, most: 1})
	}
	b.Run(way, func(b *testing.B) { contest{unit: "us", rounds: 9, sides: sides, bars: bars}.run(b) })
}

// BenchmarkP04_Values is encoding and decoding what calls carry, without a connection.
func BenchmarkP04_Values(b *testing.B) {
	b.Run("floats", func(b *testing.B) { values(b, floats(), 20) })
	counts := make(map[string]int)
	for i := range 10000 {
		counts[fmt.Sprint("key", i)] = i
	}
	b.Run("map", func(b *testing.B) { values(b, counts, 20) })
	b.Run("tree", func(b *testing.B) { values(b, newTree(12), 20) })
	points := make([]point, 1e6)
	for i := range points {
		points[i] = point{A: int64(i), B: int64(i) << 20, C: math.Sqrt(float64(i)), D: i&1 == 1}
	}
	b.Run("structs", func(b *testing.B) { values(b, points, 1) })
}

// floats are 1 MiB of numbers that are not short in any format.
func floats() []float64 {
	f := make([]float64, 1<<17)
	for i := range f {
		f[i] = math.Sqrt(float64(i))
	}
	return f
}

// BenchmarkP04_Memmove is a slice of floats beside a plain copy of it into new memory, which is the least that the
// receiver has to do. The sender need not even do that: the connection reads the floats where they are.
func BenchmarkP04_Memmove(b *testing.B) {
	v := floats()
	ours := wires[[]float64](b)[0]
	data := bytes.Join(ours.encode(&v), nil)
	var kept []float64
	turn := func(name string, do func()) side { return side{name, func() float64 { return took(10, do) }} }
	contest{
		unit: "us", rounds: 75,
		sides: []side{
			turn("both", func() { var back []float64; ours.encode(&v); ours.decode(data, &back) }),
			turn("encode", func() { ours.encode(&v) }),
			turn("encode as a snapshot", func() {
				if _, err := codec.Encode(&v, codec.Options{Snapshot: true}); err != nil {
					b.Error(err)
				}
			}),
			turn("decode", func() { var back []float64; ours.decode(data, &back) }),
			turn("copy", func() { kept = append([]float64(nil), v...) }),
		},
		bars: []bar{
			{ours: "both", reference: "copy", most: 1.1},
			{ours: "encode as a snapshot", reference: "copy", most: 1.1},
			{ours: "decode", reference: "copy", most: 1.1},
		},
	}.run(b)
	runtime.KeepAlive(kept)
}

// task is what a call sends: an interface with a closure in it.
type task interface{ run() int }

type thunk struct {
	fn func(context.Context) int
}

func (t thunk) run() int { return t.fn(context.Background()) }

// handler returns a closure such as a handler sends, with five captures: a number, a string, a slice, a pointer, a float.
func handler() task {
	id, name, tags, limit := 7, "a name", []string{"a", "b"}, 2.5
	parent := &node{Name: "ada", Value: 3}
	return thunk{func(context.Context) int {
		return id + len(name) + len(tags) + parent.Value + int(limit)
	}}
}

// BenchmarkP04_Closure is a typical closure, each way.
func BenchmarkP04_Closure(b *testing.B) {
	f := handler()
	msg, err := codec.Encode(&f, codec.Options{})
	if err != nil {
		b.Fatal(err)
	}
	data := bytes.Join(msg, nil)
	ways := map[string]func(){
		"encode": func() { _, err = codec.Encode(&f, codec.Options{}) },
		"decode": func() { var back task; err = codec.Decode(data, &back, codec.Trusted) },
	}
	for b.Loop() {
		for _, way := range []string{"encode", "decode"} {
			var figures []float64
			for range 25 {
				figures = append(figures, took(2000, ways[way]))
			}
			report(b, way, "us", figures, 1)
			fmt.Printf("  %-42s %12.0f\n", "objects allocated", testing.AllocsPerRun(100, ways[way]))
		}
	}
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(0, "ns/op")
}

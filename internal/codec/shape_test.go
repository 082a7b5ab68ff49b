package codec

import (
	"math"
	"math/big"
	"reflect"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

type node struct {
	next  *node
	value int
}

type graph struct {
	name  string
	peers []*graph
	index map[string]*graph
	self  any
	cells [6]*int
	mid   *int
	flags [5]struct {
		on bool
		n  int
	}
}

type level struct {
	inner struct {
		a, b int
		text string
	}
	rest []byte
}

func TestListOfAMillion_crossesWithoutRecursion(t *testing.T) {
	const n = 1_000_000
	var list *node
	for i := range n {
		list = &node{list, i}
	}
	back := cross(t, list, Untrusted)
	count := 0
	for ; back != nil; back = back.next {
		if back.value != n-1-count {
			t.Fatalf("node %d holds %d", count, back.value)
		}
		count++
	}
	if count != n {
		t.Errorf("%d nodes arrived", count)
	}
}

func TestIdentity_staysWithinAMessage(t *testing.T) {
	both(t, func(t *testing.T, trust Trust) {
		// given a graph with cycles, shared pointers and a pointer into an array of itself
		n := 5
		g := &graph{name: "g", index: map[string]*graph{}, cells: [6]*int{2: &n, 5: &n}}
		g.peers, g.index["me"], g.self = []*graph{g, nil, {name: "other", mid: &n}}, g, g
		g.flags[3].on = true
		g.mid = &g.flags[2].n
		// when it crosses
		back := cross(t, g, trust)
		// then all that was one thing is one thing
		if back.peers[0] != back || back.index["me"] != back || back.self != back || back.peers[1] != nil {
			t.Error("a cycle is broken")
		}
		if back.cells[2] != back.cells[5] || back.cells[2] != back.peers[2].mid || *back.cells[2] != 5 {
			t.Error("a shared pointer is not shared")
		}
		if back.mid != &back.flags[2].n || !back.flags[3].on {
			t.Error("a pointer into an array of structs points elsewhere")
		}
	})
}

func TestInteriorPointers_stayInside(t *testing.T) {
	both(t, func(t *testing.T, trust Trust) {
		l := &level{rest: []byte("0123456789")}
		l.inner.text = "deep"
		v := struct {
			b    *int
			text *string
			l    *level
			tail []byte
			head []byte
			four *[4]byte
		}{&l.inner.b, &l.inner.text, l, l.rest[6:8], l.rest[:3], (*[4]byte)(l.rest[2:])}
		back := cross(t, v, trust)
		if back.b != &back.l.inner.b || back.text != &back.l.inner.text || *back.text != "deep" {
			t.Error("a pointer to a field points elsewhere")
		}
		if &back.tail[0] != &back.l.rest[6] || &back.head[0] != &back.l.rest[0] || &back.four[0] != &back.l.rest[2] {
			t.Error("slices of one array do not share it")
		}
		if len(back.tail) != 2 || cap(back.tail) != 4 || len(back.head) != 3 || string(back.l.rest) != "0123456789" {
			t.Errorf("got %v (%d), %v, %v", back.tail, cap(back.tail), back.head, back.l.rest)
		}
	})
}

func TestSlices_joinWhereTheyOverlapOrMeet(t *testing.T) {
	both(t, func(t *testing.T, trust Trust) {
		all := make([]int, 10, 20)
		for i := range all {
			all[i] = i
		}
		v := [][]int{all[2:5], all[4:8], all[8:10], all[:1:1]}
		back := cross(t, v, trust)
		if !reflect.DeepEqual(back, v) {
			t.Fatalf("got %v", back)
		}
		if &back[0][2] != &back[1][0] || &back[1][:5][4] != &back[2][0] {
			t.Error("what shared an array does not")
		}
		if cap(back[2]) != 2 {
			t.Errorf("capacity %d: spare room stays behind", cap(back[2]))
		}
	})
}

func TestNilAndEmpty_areToldApart(t *testing.T) {
	both(t, func(t *testing.T, trust Trust) {
		type empty struct{}
		v := struct {
			nilSlice, slice []int
			nilMap, m       map[string]int
			nilPointer      *int
			nilAny, typed   any
			none            *empty
			units           []empty
			nilFunc         func()
			err             error
		}{slice: []int{}, m: map[string]int{}, typed: (*int)(nil), none: &empty{}, units: make([]empty, 7)}
		back := cross(t, v, trust)
		if !reflect.DeepEqual(back, v) {
			t.Errorf("got %+v, want %+v", back, v)
		}
		if back.none == nil || len(back.units) != 7 || back.typed == nil || back.nilSlice != nil || back.slice == nil {
			t.Errorf("got %+v", back)
		}
	})
}

type celsius float64

func TestMaps_ofManyTypes(t *testing.T) {
	nan := math.NaN()
	type key struct {
		a string
		b any
	}
	n := 3
	values := []any{
		map[string]string{"a": "b"},
		map[int]string{1: "x"},
		map[celsius][]int{1.5: {1}},
		map[any]any{1: "a", "b": 2.5, key{"x", 3}: nil},
		map[key]map[string]*int{{"k", "v"}: {"n": &n}},
		map[[2]string]bool{{"a", "b"}: true},
		map[string]struct{}{"only": {}},
		map[struct{}]int{{}: 1},
		map[bool]error{true: nil},
		map[string]any{"list": []any{1, "two", map[string]any{"three": 3.0}}},
		map[*int]string{},
		map[int]int{1: 2},
		map[uint8]celsius{3: 4},
	}
	for _, v := range values {
		t.Run(reflect.TypeOf(v).String(), func(t *testing.T) {
			both(t, func(t *testing.T, trust Trust) {
				p := reflect.New(reflect.TypeOf(v))
				p.Elem().Set(reflect.ValueOf(v))
				msg, err := Encode(p.Interface(), Options{})
				if err != nil {
					t.Fatal(err)
				}
				back := reflect.New(p.Type().Elem())
				if err := Decode(join(msg), back.Interface(), trust); err != nil && trust == Trusted {
					t.Fatal(err)
				} else if err == nil && !reflect.DeepEqual(back.Elem().Interface(), v) {
					t.Errorf("got %v, want %v", back.Elem(), v)
				}
			})
		})
	}
	back := cross(t, map[float64]int{nan: 1, math.Copysign(nan, -1): 2}, Trusted)
	if len(back) != 2 {
		t.Errorf("%d entries with keys that are no numbers arrived, of 2", len(back))
	}
}

func TestTimes_keepInstantAndZone(t *testing.T) {
	both(t, func(t *testing.T, trust Trust) {
		now := time.Now()
		east := now.In(time.FixedZone("EAST", 5*3600+1800))
		times := []time.Time{{}, now, now.UTC(), east, time.Date(2024, 7, 1, 12, 0, 0, 5, time.Local)}
		if berlin, err := time.LoadLocation("Europe/Berlin"); err == nil {
			times = append(times, now.In(berlin), time.Date(1980, 8, 1, 0, 0, 0, 0, berlin))
		}
		for i, got := range cross(t, times, trust) {
			want := times[i]
			if !got.Equal(want) || got.Round(0).String() != want.Round(0).String() || got.String() != want.Round(0).String() {
				t.Errorf("got %v, want %v", got, want)
			}
		}
		if utc := cross(t, now.UTC(), trust); utc != now.UTC().Round(0) {
			t.Errorf("got %#v, not the same UTC", utc)
		}
	})
}

func TestLibraryTypes_crossAsTheyAre(t *testing.T) {
	both(t, func(t *testing.T, trust Trust) {
		n := new(big.Int).Exp(big.NewInt(3), big.NewInt(5000), nil)
		if got := cross(t, n, trust); got.Cmp(n) != 0 {
			t.Error("another number arrived")
		}
		types := []reflect.Type{reflect.TypeFor[int](), nil, reflect.TypeFor[[]string]()}
		if got := cross(t, types, trust); !reflect.DeepEqual(got, types) {
			t.Errorf("got %v, want %v", got, types)
		}
	})
}

func TestSharedText_crossesOnce(t *testing.T) {
	long := string(make([]byte, 1000))
	v := []string{long, long, long, "short"}
	msg, err := Encode(&v, Options{})
	if err != nil || msg.Size() > 1200 {
		t.Errorf("%d bytes, %v", msg.Size(), err)
	}
	if got := cross(t, v, Untrusted); !reflect.DeepEqual(got, v) {
		t.Error("other texts arrived")
	}
}

func TestLargeMemory_isSentFromWhereItLies(t *testing.T) {
	v := make([]float64, 1<<17)
	v[5] = 1
	msg, err := Encode(&v, Options{})
	if err != nil || len(msg) != 3 {
		t.Fatalf("%d parts, %v", len(msg), err)
	}
	snapshot, err := Encode(&v, Options{Snapshot: true})
	if err != nil {
		t.Fatal(err)
	}
	v[5] = 2
	for want, m := range map[float64]Message{2: msg, 1: snapshot} {
		var back []float64
		if err := Decode(join(m), &back, Untrusted); err != nil || back[5] != want {
			t.Errorf("got %v, %v, want %v", back[5], err, want)
		}
	}
}

func TestDecoded_surviveTheGarbageCollector(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(1))
	var kept []*graph
	for range 200 {
		n := 9
		g := &graph{name: "g", index: map[string]*graph{}, mid: &n}
		g.peers, g.self = []*graph{{name: "p", self: point{1, 2, "boxed", true}}}, g
		kept = append(kept, cross(t, g, Trusted))
		runtime.Gosched()
	}
	runtime.GC()
	for _, g := range kept {
		if g.self != g || *g.mid != 9 || g.peers[0].self != (point{1, 2, "boxed", true}) {
			t.Fatal("memory was taken away")
		}
	}
}

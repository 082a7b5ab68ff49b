package codec

import (
	"slices"
	"strings"
	"sync"
	"testing"
)

// arrive sends a function and returns what arrives.
func arrive[F any](tb testing.TB, f F) (F, *Watched) {
	tb.Helper()
	msg, err := Encode(&f, Options{Snapshot: true})
	if err != nil {
		tb.Fatal(err)
	}
	var back F
	w := new(Watched)
	if err := ReceiveWatched(slices.Concat(msg...), &back, nil, w); err != nil {
		tb.Fatal(err)
	}
	return back, w
}

func TestN13_aWriteThatStaysBehindIsSeen(t *testing.T) {
	n := 0
	count, w := arrive(t, func() { n++ })
	if got := w.Changed(); got != "" {
		t.Errorf("before the run: %q", got)
	}
	count()
	if got := w.Changed(); !strings.Contains(got, "TestN13_aWriteThatStaysBehindIsSeen.func1 (watch_test.go:") || !strings.HasSuffix(got, "captured *int") {
		t.Errorf("after the run: %q", got)
	}
	list := []int{1, 2}
	fill, w := arrive(t, func() { list[1] = 7 })
	fill()
	if got := w.Changed(); !strings.HasSuffix(got, "captured []int") {
		t.Errorf("a slice: %q", got)
	}
}

func TestN13_whatIsTheRunnersOwnMayChange(t *testing.T) {
	s := &server{name: "s"}
	declare(t, "server", s)
	rename, w := arrive(t, func() { s.name = "renamed" })
	rename()
	if got := w.Changed(); got != "" || s.name != "renamed" {
		t.Errorf("got %q, %q", got, s.name)
	}
	sum, limit := 0, 5
	read, w := arrive(t, func() int { return sum + limit })
	read()
	if got := w.Changed(); got != "" {
		t.Errorf("only read: %q", got)
	}
}

func TestN13_anEntryThatStaysBehindIsSeen(t *testing.T) {
	seen := map[string]bool{"a": true}
	add, w := arrive(t, func(s string) { seen[s] = true })
	add("a")
	if got := w.Changed(); got != "" {
		t.Errorf("the same entry: %q", got)
	}
	add("b")
	if got := w.Changed(); !strings.HasSuffix(got, "captured map[string]bool") {
		t.Errorf("a new entry: %q", got)
	}
}

func TestN13_aTableThatIsOnlyReadIsNoWrite(t *testing.T) {
	table := new(sync.Map)
	table.Store("a", 1)
	get, w := arrive(t, func(k string) bool { _, ok := table.Load(k); return ok })
	for range 100 {
		if !get("a") || get("b") {
			t.Fatal("it is another table")
		}
	}
	if got := w.Changed(); got != "" {
		t.Errorf("only read: %q", got)
	}
}

func TestN13_nothingIsKeptOfALaterFailure(t *testing.T) {
	n := 0
	count, w := arrive(t, func() { n++ })
	count()
	if err := ReceiveWatched(nil, new(func()), nil, w); err == nil || w.Changed() != "" {
		t.Errorf("got %v, %q", err, w.Changed())
	}
}

func BenchmarkReceiveWatched(b *testing.B) {
	n, s, m, p := 0, []int{1, 2, 3}, map[string]int{"a": 1}, new([512]byte)
	f := func() { n++; s[0]++; m["a"]++; p[0]++ }
	msg, err := Encode(&f, Options{Snapshot: true})
	if err != nil {
		b.Fatal(err)
	}
	data, w := slices.Concat(msg...), new(Watched)
	b.Run("not watched", func(b *testing.B) {
		for b.Loop() {
			if err := Receive(data, &f, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("watched", func(b *testing.B) {
		for b.Loop() {
			if err := ReceiveWatched(data, &f, nil, w); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("looked at", func(b *testing.B) {
		for b.Loop() {
			if w.Changed() != "" {
				b.Fatal("it has changed")
			}
		}
	})
}

func TestN13_whatComesBackNeedNotStay(t *testing.T) {
	batch := []int{1, 2}
	fill, w := arrive(t, func() *[]int { batch[1] = 7; return &batch })
	if _, err := Encode(fill(), Options{Result: true, Returns: w}); err != nil {
		t.Fatal(err)
	}
	if got := w.Changed(); got != "" {
		t.Errorf("it is returned: %q", got)
	}
	other := 0
	both, w := arrive(t, func() *[]int { batch[1], other = 8, other+1; return &batch })
	if _, err := Encode(both(), Options{Result: true, Returns: w}); err != nil {
		t.Fatal(err)
	}
	if got := w.Changed(); !strings.HasSuffix(got, "captured *int") {
		t.Errorf("one of two is returned: %q", got)
	}
}

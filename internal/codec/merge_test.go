package codec

import (
	"fmt"
	"strings"
	"testing"
)

// chain is a node with a field that others may point to.
type chain struct {
	name string
	tags [4]int
	next *chain
}

// newChain returns n nodes, one behind the other.
func newChain(n int) (first *chain) {
	for i := range n {
		first = &chain{name: fmt.Sprint("node", i), next: first}
	}
	return first
}

// TestManyOfOneTypeWithPointersInto has so many variables of one type that they are not compared with one another. What
// points into one of them still does so on the other side.
func TestManyOfOneTypeWithPointersInto(t *testing.T) {
	type graph struct {
		first  *chain
		into   *int    // a field's element
		part   []int   // of a field
		field  **chain // a field
		within []chain
		one    *chain // of within
	}
	g := graph{first: newChain(1000), within: make([]chain, 3)}
	third := g.first.next.next
	g.into, g.part, g.field, g.one = &third.tags[1], third.tags[2:], &third.next, &g.within[1]
	back := cross(t, g, Untrusted)
	third = back.first.next.next
	if back.into != &third.tags[1] || &back.part[0] != &third.tags[2] || back.field != &third.next || back.one != &back.within[1] {
		t.Error("what pointed into variables points to copies")
	}
	n := 0
	for at := back.first; at != nil; at = at.next {
		n++
	}
	if n != 1000 {
		t.Errorf("%d nodes came, want 1000", n)
	}
}

// TestManyArraysThatOverlap has pointers to arrays that slices were turned into.
func TestManyArraysThatOverlap(t *testing.T) {
	s := make([]int, 100)
	var all []*[2]int
	for i := range len(s) - 1 {
		all = append(all, (*[2]int)(s[i:]))
	}
	back := cross(t, all, Untrusted)
	for i := range back[1:] {
		if &back[i][1] != &back[i+1][0] {
			t.Fatalf("arrays %d and %d share nothing", i, i+1)
		}
	}
}

// TestMapsOneAfterTheOther has the place of a map's entries used again, for more and for fewer of them.
func TestMapsOneAfterTheOther(t *testing.T) {
	for _, n := range []int{1000, 10, 0, 500, 1000} {
		m := make(map[string]int)
		for i := range n {
			m[fmt.Sprint("key", n, i)] = i
		}
		back := cross(t, m, Untrusted)
		if len(back) != n {
			t.Errorf("%d entries came, want %d", len(back), n)
		}
		for k, v := range m {
			if got, ok := back[k]; !ok || got != v {
				t.Fatalf("of %d entries, %s is %d, want %d", n, k, got, v)
			}
		}
	}
}

// TestTextsThatShareMemory appends to texts that lie one behind the other.
func TestTextsThatShareMemory(t *testing.T) {
	var texts []string
	for i := range 1000 {
		texts = append(texts, strings.Repeat(fmt.Sprint(i%10), i%70))
	}
	back := cross(t, texts, Untrusted)
	for i, s := range texts {
		if grown := string(append([]byte(back[i]), "more"...)); back[i] != s || grown != s+"more" {
			t.Errorf("text %d is %q, want %q", i, back[i], s)
		}
	}
}

// TestMessagesDoNotShareMemory encodes again while the first message is still to be read.
func TestMessagesDoNotShareMemory(t *testing.T) {
	first, second := "the first", "a second"
	a, err := Encode(&first, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Encode(&second, Options{}); err != nil {
		t.Fatal(err)
	}
	var back string
	if err := Decode(join(a), &back, Untrusted); err != nil || back != first {
		t.Errorf("the first message says %q, %v", back, err)
	}
}

package codec

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"
)

type colour struct {
	name  string
	like  *colour
	parts map[string]*colour
}

// Package-level variables of a program, as both processes have them.
var (
	red     = &colour{name: "red"}
	crimson = &colour{name: "crimson", like: red, parts: map[string]*colour{"mostly": red}}
	changed = &colour{name: "blue"}
	held    struct {
		n     int
		inner colour
	}
)

func TestPackageLevelPointersStayWhatTheyAre(t *testing.T) {
	type palette struct {
		a, b    *colour
		byName  map[string]*colour
		byRef   map[*colour]string
		any     any
		inner   *colour
		name    *string
		zone    *time.Location
		when    time.Time
		changed *colour
	}
	v := palette{
		red, crimson,
		map[string]*colour{"r": red},
		map[*colour]string{crimson: "c"},
		red, &held.inner, &red.name,
		time.UTC, time.Unix(0, 0).UTC(), changed,
	}
	msg, err := Encode(&v, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { changed.name = "blue" }()
	changed.name = "green" // as if main had done something else with it on the other side
	var got palette
	if err := Decode(join(msg), &got, Trusted); err != nil {
		t.Fatal(err)
	}
	if got.a != red || got.b != crimson || got.byName["r"] != red || got.byRef[crimson] != "c" || len(got.byRef) != 1 || got.any != any(red) {
		t.Errorf("copies: %+v", got)
	}
	if got.name != &got.a.name || got.zone != time.UTC || got.when.Location() != time.UTC {
		t.Errorf("%p, %v, %v", got.name, got.zone, got.when.Location())
	}
	if got.changed == changed || got.changed.name != "blue" {
		t.Errorf("the copy counts where they differ, and %+v came", got.changed)
	}
}

func TestResultsKnowOnlyUTC(t *testing.T) {
	type result struct {
		zone *time.Location
		of   *colour
	}
	if err := cross(t, []error{io.EOF, fmt.Errorf("x: %w", io.EOF)}, Trusted); err[0] != io.EOF || !errors.Is(err[1], io.EOF) {
		t.Errorf("sentinels are %v", err)
	}
	got := cross(t, result{time.UTC, red}, Untrusted)
	if got.zone != time.UTC || got.of == red || got.of.name != "red" {
		t.Errorf("%+v", got)
	}
}

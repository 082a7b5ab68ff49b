package main

import (
	"testing"
	"time"
)

func TestTheBarSaysHowFarItIs(t *testing.T) {
	for _, c := range []struct {
		state state
		width int
		want  string
	}{
		{state{took: time.Second}, 100, " 0 files · 0.0 B · 0.0 B/s"},
		{state{files: 12, bytes: 3_450_000, took: 2 * time.Second}, 100, " 12 files · 3.5 MB · 1.7 MB/s"},
		{state{0, 3, 0, 5000, time.Second}, 100, " 0/3 files ·    0.0 B/5.0 kB ·    0.0 B/s ·   ? left"},
		{state{7, 120, 1e9, 4e9, 10 * time.Second}, 100, "   7/120 files ·   1.0 GB/4.0 GB · 100.0 MB/s · 30s left"},
		{state{120, 120, 5e9, 4e9, 10 * time.Second}, 100, " 120/120 files ·   5.0 GB/4.0 GB · 500.0 MB/s ·  0s left"},
		{state{7, 120, 1e9, 0, 10 * time.Second}, 100, " 7/120 files · 1.0 GB · 100.0 MB/s"}, // nobody knows how much
		{state{7, 120, 1e9, 4e9, 10 * time.Second}, 50, "   1.0 GB/4.0 GB · 100.0 MB/s"},
	} {
		if got := c.state.text(c.width); got != c.want {
			t.Errorf("%+v at width %d:\n%q, want\n%q", c.state, c.width, got, c.want)
		}
	}
}

func TestSizes(t *testing.T) {
	for bytes, want := range map[float64]string{
		0: "0.0 B", 999: "999.0 B", 1000: "1.0 kB", 999_949: "999.9 kB", 999_960: "1.0 MB", 5e12: "5.0 TB", 5e15: "5000.0 TB",
	} {
		if got := size(bytes); got != want {
			t.Errorf("%v: %q, want %q", bytes, got, want)
		}
	}
}

//go:build unix

package runner

import (
	"slices"
	"testing"
	"testing/fstest"
)

func TestN20_ChildrenOfProcess1ThatHaveEndedAreFound(t *testing.T) {
	stat := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	proc := fstest.MapFS{
		"1/stat":    stat("1 (web) S 0 1 1 0 -1"),
		"7/stat":    stat("7 (sh) Z 1 7 1 0 -1"),
		"8/stat":    stat("8 (sleep) S 1 7 1 0 -1"),
		"9/stat":    stat("9 (odd) Z 2) Z 1 9 1 0 -1"),
		"10/stat":   stat("10 (grep) Z 8 10 1 0 -1"),
		"11/stat":   stat("11"),
		"self/stat": stat("12 (sh) Z 1 12 1 0 -1"),
		"12/status": stat("nothing"),
	}
	if got := zombies(proc); !slices.Equal(got, []int{7, 9}) {
		t.Errorf("got %v", got)
	}
}

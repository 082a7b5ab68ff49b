package lend

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestF14_LinesAreCutWhereverWritesEnd(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	text := "one\ntwo\r\n\n\r\nthree\rfour\n" + long + "\r\n" + long + "y\n" + long + long + "\nlast"
	want := []string{"one", "two", "three\rfour", long, long + "+1", long + "+16384", "last"}
	for _, size := range []int{1, 2, 3, 7, 4096, maxLine, len(text)} {
		var got []string
		l := Lines{Line: func(line []byte, more int) {
			if got = append(got, string(line)); more > 0 {
				got[len(got)-1] += "+" + strconv.Itoa(more)
			}
		}}
		for part := range slices.Chunk([]byte(text), size) {
			if n, err := l.Write(part); n != len(part) || err != nil {
				t.Fatal(n, err)
			}
		}
		l.End()
		l.End()
		if !slices.Equal(got, want) {
			for i, line := range got {
				t.Errorf("in writes of %d: line %d has %d bytes: %.20q…", size, i, len(line), line)
			}
		}
	}
}

// FuzzTold: what a runner tells may be any bytes.
func FuzzTold(f *testing.F) {
	f.Add([]byte{})
	f.Add(TellLine([]byte("a line"), 3, 4))
	f.Add(append(TellLine(nil, 0, 1), 2, 2))
	f.Add([]byte{toldRecord, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		told, err := ReadTold(b)
		if err != nil {
			return
		}
		if told.More < 0 || told.Dropped < 0 || told.Size() > len(b) {
			t.Errorf("%+v", told)
		}
		if r, ok := told.Clone().Record(); ok && strings.ContainsFunc(r.Message, isControl) {
			t.Errorf("%v", r)
		}
	})
}

package backend

import (
	"bytes"
	"testing"
)

func TestN14_TheLastOutputIsKeptWhateverTheWritesAre(t *testing.T) {
	for _, sizes := range [][]int{
		{0},
		{1},
		{tailSize},
		{tailSize + 1},
		{3*tailSize + 5},
		{tailSize - 1, 1, 1},
		{tailSize - 1, 2, 3},
		{7, tailSize, 7},
		{7, 2 * tailSize, 0, 7},
		{40_000, 40_000, 40_000, 40_000},
		{tailSize, tailSize, 1},
		{tailSize - 3, 1, 1, 1, 1, 1},
	} {
		var kept Tail
		var all []byte
		for i, size := range sizes {
			b := make([]byte, size)
			for j := range b {
				b[j] = byte(i + j%251)
			}
			if n, err := kept.Write(b); n != size || err != nil {
				t.Fatalf("%d bytes: %d, %v", size, n, err)
			}
			if all = append(all, b...); !bytes.Equal(kept.Bytes(), all[max(0, len(all)-tailSize):]) {
				t.Errorf("writes of %v: after the one with number %d something else is kept", sizes, i)
			}
		}
	}
}

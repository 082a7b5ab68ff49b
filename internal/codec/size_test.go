package codec

import (
	"strings"
	"testing"
)

func TestN18_aLargeMessageIsWarnedAbout(t *testing.T) {
	v := struct {
		name  string
		cache []byte
	}{"n", make([]byte, 48_000_000)}
	var warned told
	o := Options{Notice: &warned}
	if _, err := Encode(&v, o); err != nil {
		t.Fatal(err)
	}
	if len(warned) != 3 || warned[0] != "48 MB" || !strings.HasSuffix(warned[1], ".cache ([]uint8)") || warned[2] != "48 MB" {
		t.Errorf("got %q", warned)
	}
	v.cache, warned = v.cache[:10:10], nil
	if _, err := Encode(&v, o); err != nil || warned != nil {
		t.Errorf("a small one: %q, %v", warned, err)
	}
}

// told is what a Notice was told.
type told []string

func (t *told) Large(size, path, part string) { *t = append(*t, size, path, part) }

func TestSizesAreWrittenAsPeopleDo(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 bytes", 999: "999 bytes", 1000: "1.0 kB", 9_949: "9.9 kB", 9_950: "10 kB", 999_499: "999 kB", 999_500: "1.0 MB",
		48_000_000: "48 MB", 1 << 30: "1.1 GB", 5_000_000_000_000: "5000 GB",
	} {
		if got := humanBytes(n); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
}

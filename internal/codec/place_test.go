package codec

import (
	"bytes"
	"strings"
	"testing"
	"unsafe"
)

// lies says whether memory lies in data.
func lies(at unsafe.Pointer, data []byte) bool {
	return uintptr(at)-uintptr(unsafe.Pointer(unsafe.SliceData(data))) < uintptr(len(data))
}

// arrived encodes v behind a few bytes and returns the message as it arrives, on its own.
func arrived[T any](t *testing.T, v T, behind int) []byte {
	t.Helper()
	msg, err := Encode(&v, Options{Behind: behind})
	if err != nil {
		t.Fatal(err)
	}
	return append(make([]byte, behind), join(msg)...)[behind:]
}

// Behind any head, what is large is where it has arrived, and lies as its type has to.
func TestLargeMemoryStaysWhereItHasArrived(t *testing.T) {
	for behind := range 9 {
		floats := make([]float64, 20_000)
		floats[19_999] = 7
		data := arrived(t, struct {
			Name string
			F    []float64
		}{"abc"[:behind%3], floats}, behind)
		var back struct {
			Name string
			F    []float64
		}
		if err := Take(data, &back, nil); err != nil || len(back.F) != 20_000 || back.F[19_999] != 7 {
			t.Fatalf("%d bytes ahead: %d come back, %v", behind, len(back.F), err)
		}
		at := unsafe.Pointer(unsafe.SliceData(back.F))
		if !lies(at, data) || uintptr(at)%8 != 0 {
			t.Errorf("%d bytes ahead: at %v, which is not in the message or not aligned", behind, at)
		}
	}
	text := strings.Repeat("long ", 20_000)
	data := arrived(t, text, 1)
	var back string
	if err := Receive(data, &back, nil); err != nil || back != text {
		t.Fatalf("%d bytes of text come back, %v", len(back), err)
	}
	if !lies(unsafe.Pointer(unsafe.StringData(back)), data) {
		t.Error("the text is not where it has arrived")
	}
}

// What appends to a slice does not write to what is behind it in the message.
func TestMemoryThatStaysHasItsOwnCapacity(t *testing.T) {
	large := bytes.Repeat([]byte{1}, bulk)
	data := arrived(t, struct {
		B []byte
		S string
	}{large, "after"}, 0)
	var back struct {
		B []byte
		S string
	}
	if err := Receive(data, &back, nil); err != nil {
		t.Fatal(err)
	}
	if cap(back.B) != bulk || !lies(unsafe.Pointer(&back.B[0]), data) {
		t.Errorf("capacity %d, want %d", cap(back.B), bulk)
	}
}

// A small part would keep all of a message, and a message that is not given is somebody else's.
func TestSmallOrBorrowedMemoryIsCopied(t *testing.T) {
	type two struct{ A, B []byte }
	v := two{make([]byte, bulk), make([]byte, 3*bulk)}
	data := arrived(t, v, 0)
	var back two
	if err := Receive(data, &back, nil); err != nil {
		t.Fatal(err)
	}
	if lies(unsafe.Pointer(&back.A[0]), data) || !lies(unsafe.Pointer(&back.B[0]), data) {
		t.Error("not the larger part alone is where it has arrived")
	}
	if err := Decode(data, &back, Trusted); err != nil {
		t.Fatal(err)
	}
	if lies(unsafe.Pointer(&back.B[0]), data) {
		t.Error("what is not given was kept")
	}
}

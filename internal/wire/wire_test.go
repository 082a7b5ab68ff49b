package wire

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
	"time"
)

func TestFramesSurviveAnyCut(t *testing.T) {
	var stream []byte
	payloads := [][]byte{nil, []byte("x"), bytes.Repeat([]byte("abc"), 7000), make([]byte, MaxPayload)}
	for i, p := range payloads {
		stream = AppendFrame(stream, Kind(i+1), uint64(i)<<40, p)
	}
	for name, r := range map[string]io.Reader{
		"whole": bytes.NewReader(stream), "byte by byte": iotest.OneByteReader(bytes.NewReader(stream)),
		"halves": iotest.HalfReader(bytes.NewReader(stream)), "error with data": iotest.DataErrReader(bytes.NewReader(stream)),
	} {
		reader := NewReader(r)
		for i, p := range payloads {
			f, err := reader.Next()
			if err != nil || f.Kind != Kind(i+1) || f.Call != uint64(i)<<40 || !bytes.Equal(f.Payload, p) {
				t.Fatalf("%s: frame %d: kind %d call %d, %d bytes, %v", name, i, f.Kind, f.Call, len(f.Payload), err)
			}
		}
		if _, err := reader.Next(); err != io.EOF {
			t.Fatalf("%s: after the last frame: %v, want EOF", name, err)
		}
	}
}

func TestInterruptedReadLosesNothing(t *testing.T) {
	stream := AppendFrame(nil, Ping, 7, []byte("hello"))
	r := NewReader(iotest.TimeoutReader(iotest.OneByteReader(bytes.NewReader(stream))))
	if _, err := r.Next(); err != iotest.ErrTimeout {
		t.Fatalf("first read: %v, want a time-out", err)
	}
	f, err := r.Next()
	if err != nil || string(f.Payload) != "hello" {
		t.Fatalf("after the interruption: %q, %v", f.Payload, err)
	}
}

func TestStreamThatIsNotFramesIsCorrupt(t *testing.T) {
	whole := AppendFrame(nil, Ping, 1, []byte("abc"))
	mutate := func(i int, b byte) []byte {
		c := bytes.Clone(whole)
		c[i] = b
		return c
	}
	for name, tc := range map[string]struct {
		stream []byte
		want   error
	}{
		"kind 0":           {mutate(10, 0), ErrCorrupt},
		"unknown kind":     {mutate(10, 200), ErrCorrupt},
		"reserved byte":    {mutate(11, 1), ErrCorrupt},
		"length beyond":    {append(mutate(9, 0xff)[:8], 0xff, 0xff, byte(Ping), 0), ErrCorrupt},
		"ends in header":   {whole[:5], io.ErrUnexpectedEOF},
		"ends in payload":  {whole[:14], io.ErrUnexpectedEOF},
		"an HTTP request":  {[]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), ErrCorrupt},
		"nothing whatever": {nil, io.EOF},
	} {
		_, err := NewReader(bytes.NewReader(tc.stream)).Next()
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
}

func TestHeadsRoundTripAndAreChecked(t *testing.T) {
	want := CallHead{Size: 5, Left: time.Second, Key: 1 << 63, Attempt: MaxAttempt, Resident: true}
	got, rest, err := CutCallHead(append(AppendCallHead(nil, want), "hello"...))
	if got != want || string(rest) != "hello" || err != nil {
		t.Fatalf("call head: %+v %q %v", got, rest, err)
	}
	if _, _, err := CutCallHead(append(AppendCallHead(nil, CallHead{Size: 1}), "hello"...)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a size smaller than the first frame: %v", err)
	}
	if _, _, err := CutCallHead(AppendCallHead(nil, CallHead{Left: -1})); !errors.Is(err, ErrCorrupt) {
		t.Errorf("negative time left: %v", err)
	}
	if _, _, err := CutResultHead([]byte("short")); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a short result head: %v", err)
	}
	if _, _, err := CutResultHead(AppendResultHead(nil, ResultHead{Size: -1})); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a negative size: %v", err)
	}
	for _, want := range []ResultHead{{Size: 5}, {Size: 5, Held: true}} {
		if got, rest, err := CutResultHead(append(AppendResultHead(nil, want), "hello"...)); got != want || string(rest) != "hello" || err != nil {
			t.Errorf("result head: %+v %q %v", got, rest, err)
		}
	}
	if _, _, err := CutResultHead([]byte{0, 0, 0, 0, 0, 0, 0, 0, 2}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a result that is neither held nor not: %v", err)
	}
}

// FuzzReader feeds any bytes, in any portions: frames come out as they went in, and nothing panics.
func FuzzReader(f *testing.F) {
	f.Add(AppendFrame(AppendFrame(nil, Hello, 0, []byte("{}")), Call, 1, AppendCallHead(nil, CallHead{})), 3)
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), 1)
	f.Fuzz(func(t *testing.T, stream []byte, portion int) {
		r := NewReader(&portions{bytes.NewReader(stream), max(1, portion&0xffff)})
		var again []byte
		for {
			fr, err := r.Next()
			if err != nil {
				break
			}
			again = AppendFrame(again, fr.Kind, fr.Call, fr.Payload)
			CutCallHead(fr.Payload)
			CutResultHead(fr.Payload)
		}
		if !bytes.HasPrefix(stream, again) {
			t.Fatal("the frames read are not those in the stream")
		}
	})
}

type portions struct {
	r io.Reader
	n int
}

func (p *portions) Read(b []byte) (int, error) { return p.r.Read(b[:min(len(b), p.n)]) }

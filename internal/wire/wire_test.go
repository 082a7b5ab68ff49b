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

// both is a BothReader.
type both struct{ io.Reader }

func (b both) ReadBoth(first, second []byte) (int, error) {
	n, err := b.Read(first)
	if n < len(first) || err != nil {
		return n, err
	}
	m, _ := b.Read(second)
	return n + m, nil
}

// message is where a message of which pieces are placed comes together.
type message struct {
	data []byte
	size int
}

func (m *message) place(_ uint64, n int) []byte {
	if n > m.size-len(m.data) {
		return nil
	}
	return m.data[len(m.data) : len(m.data)+n : m.size]
}

func (m *message) take(t *testing.T, f Frame) {
	t.Helper()
	at := len(m.data)
	m.data = m.data[:at+len(f.Payload)]
	if !f.Placed {
		copy(m.data[at:], f.Payload)
	} else if &m.data[at] != &f.Payload[0] {
		t.Fatal("a chunk was placed elsewhere")
	}
}

func TestChunksAreReadToWhereTheyBelong(t *testing.T) {
	want := make([]byte, 5*MaxPayload+30_000)
	for i := range want {
		want[i] = byte(i * i >> 3)
	}
	var alone, between []byte
	for rest := want; len(rest) > 0; rest = rest[min(len(rest), MaxPayload):] {
		chunk := AppendFrame(nil, Chunk, 2, rest[:min(len(rest), MaxPayload)])
		alone = append(alone, chunk...)
		between = append(AppendFrame(between, Note, 1, []byte("between")), chunk...)
	}
	for what, stream := range map[string][]byte{"alone": alone, "with notes": between} {
		for name, r := range map[string]io.Reader{
			"whole": bytes.NewReader(stream), "byte by byte": iotest.OneByteReader(bytes.NewReader(stream)),
			"halves": iotest.HalfReader(bytes.NewReader(stream)), "both": both{bytes.NewReader(stream)},
			"both, halves": both{iotest.HalfReader(bytes.NewReader(stream))}, "both, odd": both{&portions{r: bytes.NewReader(stream), n: 10_007}},
			"interrupted": both{iotest.TimeoutReader(bytes.NewReader(stream))},
		} {
			m := &message{data: make([]byte, 0, len(want)), size: len(want)}
			reader := NewReader(r)
			reader.Place = m.place
			placed, notes := m.comeTogether(t, reader)
			if !bytes.Equal(m.data, want) || placed < 3 || stream[10] == byte(Chunk) && placed < 6 || stream[10] != byte(Chunk) && notes != 6 {
				t.Errorf("%s, %s: other bytes, or only %d chunks were placed among %d notes", what, name, placed, notes)
			}
			if _, err := reader.Next(); err != io.EOF {
				t.Errorf("%s, %s: after the last: %v", what, name, err)
			}
		}
	}
}

// comeTogether reads until the message is whole, and returns how many of its chunks were placed, and how many notes have come.
func (m *message) comeTogether(t *testing.T, r *Reader) (placed, notes int) {
	t.Helper()
	for len(m.data) < m.size {
		buffered := r.Buffered()
		f, err := r.Next()
		switch {
		case err == iotest.ErrTimeout && !buffered:
		case err != nil:
			t.Fatalf("after %d bytes: %v", len(m.data), err)
		case f.Kind == Chunk:
			m.take(t, f)
			if f.Placed {
				placed++
			}
		case string(f.Payload) == "between":
			notes++
		default:
			t.Fatalf("%d: %q", f.Kind, f.Payload)
		}
	}
	return placed, notes
}

func TestChunkThatIsCutOffIsUnexpected(t *testing.T) {
	stream := AppendFrame(nil, Chunk, 1, make([]byte, MaxPayload))
	m := &message{data: make([]byte, 0, MaxPayload), size: MaxPayload}
	r := NewReader(bytes.NewReader(stream[:MaxPayload]))
	r.Place = m.place
	if _, err := r.Next(); err != io.ErrUnexpectedEOF {
		t.Errorf("%v, want an unexpected end", err)
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
	large := make([]byte, MaxPayload)
	f.Add(AppendFrame(AppendFrame(AppendFrame(nil, Chunk, 299_999, large), Chunk, 299_999, large), Chunk, 1, large), 1<<16|65000)
	f.Fuzz(func(t *testing.T, stream []byte, portion int) {
		count := &portions{bytes.NewReader(stream), max(1, portion&0xffff), 0}
		from := io.Reader(count)
		if portion&(1<<16) != 0 {
			from = both{count}
		}
		r := NewReader(from)
		var room []byte // what the last chunk's message still needs
		r.Place = func(call uint64, n int) []byte {
			if call%3 == 0 {
				return nil
			}
			if n > cap(room)-len(room) {
				room = make([]byte, 0, n+int(call%300_000))
			}
			return room[len(room) : len(room)+n : cap(room)]
		}
		var again []byte
		for {
			before, buffered := count.reads, r.Buffered()
			fr, err := r.Next()
			if err != nil {
				break
			}
			if buffered != (count.reads == before) {
				t.Fatalf("a frame is buffered: %v, but there were %d reads", buffered, count.reads-before)
			}
			if fr.Placed {
				room = room[:len(room)+len(fr.Payload)]
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
	r     io.Reader
	n     int
	reads int
}

func (p *portions) Read(b []byte) (int, error) {
	p.reads++
	return p.r.Read(b[:min(len(b), p.n)])
}

package wire

import (
	"encoding/binary"
	"fmt"
	"io"
)

const (
	// ahead is how much is read at once where nothing is known of what comes: many small frames, or the beginning of a large one,
	// whose rest is better read to where it belongs.
	ahead = 16 << 10
	// readBuffer has room for a frame of the largest size and that.
	readBuffer = MaxFrame + ahead
)

// A Reader cuts a stream of bytes into frames. An error of the underlying reader loses nothing:
// Next can be called again, which is how a reader that was interrupted goes on.
type Reader struct {
	// Place says where the next n bytes of a call's message belong, if that is known: they are read from the connection to
	// there. The capacity of what it returns is what the message still needs. nil means that the chunk comes as any frame does. It
	// is called by Next.
	Place func(call uint64, n int) []byte

	r          io.Reader
	both       BothReader // r, if it is one
	buf        []byte
	start, end int // what has been read and not yet returned is buf[start:end]

	placed Frame // the chunk that is on its way to where it belongs; buf has nothing of it
	have   int   // of its payload
	more   int   // how many bytes the message needs whose chunk came last
}

// BothReader is a reader of which more is wanted at once, and soon.
type BothReader interface {
	// ReadBoth reads as Read does, first into first, then into second. What is missing is about to come.
	ReadBoth(first, second []byte) (int, error)
}

// NewReader returns a Reader of r.
func NewReader(r io.Reader) *Reader {
	both, _ := r.(BothReader)
	return &Reader{r: r, both: both, buf: make([]byte, readBuffer)}
}

// Next returns the next frame. It reads only if no whole frame is there yet. A stream that ends
// between frames is io.EOF, one that ends inside a frame io.ErrUnexpectedEOF, and bytes that are not
// a frame are an ErrCorrupt.
func (r *Reader) Next() (Frame, error) {
	for {
		f, ok, err := r.cut()
		if ok || err != nil {
			return f, err
		}
		if err := r.fill(); err != nil {
			return Frame{}, err
		}
	}
}

// Buffered says whether Next returns without reading.
func (r *Reader) Buffered() bool {
	have := r.end - r.start
	return r.placed.Kind == 0 && have >= HeaderSize && have >= HeaderSize+r.length()
}

// Amid says whether more of a message is about to come.
func (r *Reader) Amid() bool { return r.more > 0 || r.placed.Kind != 0 }

func (r *Reader) length() int {
	return int(binary.LittleEndian.Uint16(r.buf[r.start+8:]))
}

// cut takes a whole frame from the buffer if there is one, or what was placed if that is whole.
func (r *Reader) cut() (f Frame, ok bool, err error) {
	if r.placed.Kind != 0 {
		return r.arrived()
	}
	if r.end-r.start < HeaderSize {
		return Frame{}, false, nil
	}
	h := r.buf[r.start:]
	n, kind := r.length(), Kind(h[10])
	if n > MaxPayload || kind == 0 || kind > lastKind || h[11] != 0 {
		return Frame{}, false, fmt.Errorf("%w: kind %d, length %d", ErrCorrupt, kind, n)
	}
	f = Frame{Call: binary.LittleEndian.Uint64(h), Kind: kind}
	if !r.Buffered() {
		r.place(f, n)
		return Frame{}, false, nil
	}
	f.Payload = h[HeaderSize : HeaderSize+n : HeaderSize+n]
	r.start += HeaderSize + n
	r.more = 0
	return f, true, nil
}

// place has the rest of a chunk's payload read to where it belongs.
func (r *Reader) place(f Frame, n int) {
	if f.Kind != Chunk || r.Place == nil {
		return
	}
	to := r.Place(f.Call, n)
	if to == nil {
		return
	}
	r.have = copy(to, r.buf[r.start+HeaderSize:r.end])
	r.start, r.end, r.more = 0, 0, cap(to)-n
	f.Payload, f.Placed = to[:n], true
	r.placed = f
}

// arrived returns the chunk that was placed, if all of it has come.
func (r *Reader) arrived() (f Frame, ok bool, err error) {
	if r.have < len(r.placed.Payload) {
		return Frame{}, false, nil
	}
	f, r.placed = r.placed, Frame{}
	return f, true, nil
}

// fill reads once, behind what is there.
func (r *Reader) fill() error {
	if r.start > 0 {
		r.end = copy(r.buf, r.buf[r.start:r.end])
		r.start = 0
	}
	first := r.placed.Payload[min(r.have, len(r.placed.Payload)):]
	n, err := r.read(first, r.buf[r.end:r.end+r.wanted()])
	placed := min(n, len(first))
	r.have += placed
	r.end += n - placed
	if n > 0 {
		return nil // an error that came along is met again
	}
	if err == io.EOF && (r.end > 0 || r.placed.Kind != 0) {
		return io.ErrUnexpectedEOF
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// wanted is how many bytes to read behind what is in the buffer.
func (r *Reader) wanted() int {
	switch {
	case r.placed.Kind != 0 && r.more > ahead:
		return HeaderSize // what follows has its place, too
	case r.end >= HeaderSize:
		return HeaderSize + r.length() - r.end + ahead
	default:
		return ahead
	}
}

// read reads into first and then into second, if that can be done at once.
func (r *Reader) read(first, second []byte) (int, error) {
	switch {
	case r.both != nil && r.Amid():
		return r.both.ReadBoth(first, second)
	case len(first) > 0:
		return r.r.Read(first)
	default:
		return r.r.Read(second)
	}
}

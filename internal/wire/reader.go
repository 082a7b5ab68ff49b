package wire

import (
	"encoding/binary"
	"fmt"
	"io"
)

// readBuffer is how much one read may bring: a frame of the largest size, or many small ones.
const readBuffer = MaxFrame

// A Reader cuts a stream of bytes into frames. An error of the underlying reader loses nothing:
// Next can be called again, which is how a reader that was interrupted goes on.
type Reader struct {
	r          io.Reader
	buf        []byte
	start, end int // what has been read and not yet returned is buf[start:end]
}

// NewReader returns a Reader of r.
func NewReader(r io.Reader) *Reader {
	return &Reader{r: r, buf: make([]byte, readBuffer)}
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
	return have >= HeaderSize && have >= HeaderSize+r.length()
}

func (r *Reader) length() int {
	return int(binary.LittleEndian.Uint16(r.buf[r.start+8:]))
}

// cut takes a whole frame from the buffer if there is one.
func (r *Reader) cut() (f Frame, ok bool, err error) {
	if r.end-r.start < HeaderSize {
		return Frame{}, false, nil
	}
	h := r.buf[r.start:]
	n, kind := r.length(), Kind(h[10])
	if n > MaxPayload || kind == 0 || kind > lastKind || h[11] != 0 {
		return Frame{}, false, fmt.Errorf("%w: kind %d, length %d", ErrCorrupt, kind, n)
	}
	if !r.Buffered() {
		return Frame{}, false, nil
	}
	f = Frame{Call: binary.LittleEndian.Uint64(h), Kind: kind, Payload: h[HeaderSize : HeaderSize+n : HeaderSize+n]}
	r.start += HeaderSize + n
	return f, true, nil
}

// fill reads once, behind what is there.
func (r *Reader) fill() error {
	if r.start > 0 {
		r.end = copy(r.buf, r.buf[r.start:r.end])
		r.start = 0
	}
	n, err := r.r.Read(r.buf[r.end:])
	r.end += n
	if n > 0 {
		return nil // an error that came along is met again
	}
	if err == io.EOF && r.end > 0 {
		return io.ErrUnexpectedEOF
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

package frames

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"slices"
)

// Chunk is how many bytes of a stream are read, written and hashed at a time. Less is slower, and so is more than
// what fits the processor's caches.
const Chunk = 256 << 10

// EchoBytes reads a size and that many bytes, all of them into the same memory unless fresh is true, and writes them back,
// until the connection ends.
func EchoBytes(conn io.ReadWriter, fresh bool) error {
	var buf []byte
	for {
		size, err := readSize(conn)
		if err != nil {
			return err
		}
		if fresh {
			buf = nil
		}
		buf = slices.Grow(buf[:0], int(size))[:size]
		if _, err := io.ReadFull(conn, buf); err != nil {
			return err
		}
		if err := writeAll(conn, buf); err != nil {
			return err
		}
	}
}

// Bytes has bytes echoed, one caller at a time.
type Bytes struct {
	// Fresh has each Call return new memory.
	Fresh bool

	conn io.ReadWriter
	back []byte
}

// NewBytes returns a caller of EchoBytes over conn.
func NewBytes(conn io.ReadWriter) *Bytes { return &Bytes{conn: conn} }

// Call sends b and returns what has come back, which the next Call overwrites unless Fresh is true.
func (e *Bytes) Call(b []byte) ([]byte, error) {
	if err := writeSize(e.conn, int64(len(b))); err != nil {
		return nil, err
	}
	if err := writeAll(e.conn, b); err != nil {
		return nil, err
	}
	if e.Fresh {
		e.back = nil
	}
	e.back = slices.Grow(e.back[:0], len(b))[:len(b)]
	_, err := io.ReadFull(e.conn, e.back)
	return e.back, err
}

// HashStreams reads a size and that many bytes, and answers with their SHA-256, until the connection ends.
func HashStreams(conn io.ReadWriter) error {
	buf := make([]byte, Chunk)
	for {
		size, err := readSize(conn)
		if err != nil {
			return err
		}
		h := sha256.New()
		if _, err := io.CopyBuffer(h, onlyReader{io.LimitReader(conn, size)}, buf); err != nil {
			return err
		}
		if err := writeAll(conn, h.Sum(nil)); err != nil {
			return err
		}
	}
}

// HashStream sends size bytes of r to HashStreams and returns their hash.
func HashStream(conn io.ReadWriter, r io.Reader, size int64) (sum [sha256.Size]byte, err error) {
	if err := writeSize(conn, size); err != nil {
		return sum, err
	}
	buf := make([]byte, Chunk)
	n, err := io.CopyBuffer(wholeWriter{conn}, onlyReader{io.LimitReader(r, size)}, buf)
	if err == nil && n < size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return sum, err
	}
	_, err = io.ReadFull(conn, sum[:])
	return sum, err
}

// onlyReader keeps io.Copy from shortcuts: what is measured is chunks.
type onlyReader struct{ io.Reader }

// wholeWriter writes all, on what may take less.
type wholeWriter struct{ w io.Writer }

// Write writes all of b.
func (w wholeWriter) Write(b []byte) (int, error) { return len(b), writeAll(w.w, b) }

func readSize(r io.Reader) (int64, error) {
	var b [8]byte
	_, err := io.ReadFull(r, b[:])
	return int64(binary.LittleEndian.Uint64(b[:])), err
}

func writeSize(w io.Writer, size int64) error {
	return writeAll(w, binary.LittleEndian.AppendUint64(nil, uint64(size)))
}

// writeAll writes b, however little a write takes.
func writeAll(w io.Writer, b []byte) error {
	for len(b) > 0 {
		n, err := w.Write(b)
		if b = b[n:]; err != nil {
			return err
		}
		if n == 0 {
			return errors.New("frames: a write took nothing")
		}
	}
	return nil
}

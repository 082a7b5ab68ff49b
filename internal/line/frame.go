package line

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A frame of a Line is a header and up to maxFrame bytes of what was written. The header is
//
//	length 3 bytes · flags 1 byte · received 8 bytes, all little endian
//
// received is how many bytes of the other direction have come, headers and all, when the frame was made.
const (
	headerSize = 12
	maxFrame   = 256 << 10
)

// flags of a frame.
const (
	asks  = 1 << iota // for a frame, as a sign of life
	leads             // to the end: nothing follows, and nothing is read any more
	known = asks | leads
)

// ErrCorrupt means that what has come is no frame of a Line, or says what cannot be.
var ErrCorrupt = errors.New("corrupt line")

// header is what precedes a frame's bytes.
type header struct {
	length   int
	flags    byte
	received int64
}

func appendHeader(b []byte, h header) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(h.length)|uint32(h.flags)<<24)
	return binary.LittleEndian.AppendUint64(b, uint64(h.received))
}

func readHeader(b *[headerSize]byte) (header, error) {
	first := binary.LittleEndian.Uint32(b[:])
	h := header{length: int(first & 0xffffff), flags: byte(first >> 24), received: int64(binary.LittleEndian.Uint64(b[4:]))}
	if h.length > maxFrame || h.flags&^known != 0 || h.received < 0 {
		return header{}, fmt.Errorf("%w: a frame of %d bytes with flags %#x at %d", ErrCorrupt, h.length, h.flags, h.received)
	}
	return h, nil
}

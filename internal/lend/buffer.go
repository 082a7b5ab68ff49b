package lend

import (
	"bytes"
	"sync"
)

// buffer holds a note, or what a note has brought.
type buffer [maxNote]byte

// buffers are those that nobody uses.
var buffers = sync.Pool{New: func() any { return new(buffer) }}

func newBuffer() *buffer { return buffers.Get().(*buffer) }

// free lets others use the buffer. Of none that is nothing.
func (b *buffer) free() {
	if b != nil {
		buffers.Put(b)
	}
}

// smallest is for how many bytes a buffer is worth it.
const smallest = maxNote / 4

// keep copies data, into a buffer if it is worth it.
func keep(data []byte) ([]byte, *buffer) {
	if len(data) < smallest {
		return bytes.Clone(data), nil
	}
	b := newBuffer()
	return b[:copy(b[:], data)], b
}

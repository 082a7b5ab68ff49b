package lend

import "encoding/binary"

// packRequest begins the note of a request; what it is about follows.
func packRequest(b []byte, number uint64, v verb, id, epoch uint64) []byte {
	b = append(appendNote(b, number, request), byte(v))
	return binary.AppendUvarint(binary.AppendUvarint(b, id), epoch)
}

// cutRequest is the inverse: data is what is to be written.
func cutRequest(b []byte) (o operation, data []byte, ok bool) {
	c := cutter{b: b, ok: true}
	o.verb = verb(c.byte())
	o.id, o.epoch = c.uint(), c.uint()
	switch o.verb {
	case aFlush, aClose:
	case aSeek:
		o.off, o.n = c.int(), int(c.int())
	case aReadAt:
		o.off, o.n = c.int(), int(min(c.uint(), maxNote))
	case aWriteAt:
		o.off, data = c.int(), c.b
		c.b = nil
	default:
		return o, nil, false
	}
	return o, data, c.ok && len(c.b) == 0
}

// reply is what came of a request.
type reply struct {
	number int64 // of bytes, or an offset
	data   []byte
	err    []byte // packed; empty if there is none
}

// packAnswer makes the note of a reply. Bytes that have no room beside an error are left out.
func packAnswer(number, id uint64, r reply) []byte {
	if most := maxNote - noteHead - len(r.err); len(r.data) > most {
		r.data, r.number = r.data[:most], int64(most)
	}
	n := make([]byte, 0, noteHead+len(r.data)+len(r.err))
	n = binary.AppendUvarint(appendNote(n, number, answered), id)
	n = binary.AppendVarint(n, r.number)
	n = binary.AppendUvarint(n, uint64(len(r.data)))
	return append(append(n, r.data...), r.err...)
}

// cutAnswer is the inverse.
func cutAnswer(b []byte) (id uint64, r reply, ok bool) {
	c := cutter{b: b, ok: true}
	id, r.number = c.uint(), c.int()
	r.data = c.bytes()
	r.err = c.b
	return id, r, c.ok
}

// cutter takes a note apart.
type cutter struct {
	b  []byte
	ok bool // there was enough of everything so far
}

func (c *cutter) cut(n int) (part []byte) {
	if n <= 0 || n > len(c.b) {
		c.b, c.ok = nil, false
		return nil
	}
	part, c.b = c.b[:n], c.b[n:]
	return part
}

func (c *cutter) byte() byte {
	if b := c.cut(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cutter) uint() uint64 {
	v, n := binary.Uvarint(c.b)
	c.cut(n)
	return v
}

func (c *cutter) int() int64 {
	v, n := binary.Varint(c.b)
	c.cut(n)
	return v
}

// bytes takes bytes with their number before them.
func (c *cutter) bytes() []byte {
	n := c.uint()
	if n == 0 {
		return nil
	}
	return c.cut(int(min(n, maxNote)))
}

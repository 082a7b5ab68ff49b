package lend

import (
	"bytes"
	"encoding/binary"
	"errors"
	"log/slog"
	"math"

	"github.com/fleetinglambda/flame/internal/codec"
)

// Told is what a runner tells its parent beside calls: a line that was printed, or a record that was logged.
type Told struct {
	Line    []byte // printed; empty: none
	More    int    // bytes of it were left out
	Dropped int    // others before it

	record []byte // packed; nil: none
}

// what is told: the first byte.
const (
	toldLine byte = iota + 1
	toldRecord
)

// TellLine packs a line.
func TellLine(line []byte, more, dropped int) []byte {
	b := append(make([]byte, 0, len(line)+16), toldLine)
	b = binary.AppendUvarint(b, uint64(dropped))
	b = binary.AppendUvarint(b, uint64(more))
	return append(b, line...)
}

var errTold = errors.New("what a runner tells cannot be read")

// ReadTold unpacks what a runner tells, which may be any bytes. The Told has them; it is to be cloned to be kept.
func ReadTold(b []byte) (t Told, err error) {
	if len(b) == 0 {
		return t, errTold
	}
	what, b := b[0], b[1:]
	number := func() int {
		v, n := binary.Uvarint(b)
		if n <= 0 || v > math.MaxInt32 {
			err = errTold
			return 0
		}
		b = b[n:]
		return int(v)
	}
	switch t.Dropped = number(); what {
	case toldLine:
		t.More = number()
		t.Line = b
	case toldRecord:
		t.record = b
	default:
		err = errTold
	}
	return t, err
}

// Clone returns a Told that can be kept.
func (t Told) Clone() Told {
	t.Line, t.record = bytes.Clone(t.Line), bytes.Clone(t.record)
	return t
}

// Size is how many bytes a Told has.
func (t Told) Size() int { return len(t.Line) + len(t.record) }

// Record returns the record; false if there is none.
func (t Told) Record() (r slog.Record, ok bool) {
	var packed record
	if t.record == nil || codec.Decode(t.record, &packed, codec.Untrusted) != nil {
		return r, false
	}
	packed.Message = Escaped(packed.Message)
	return packed.slog(), true
}

// Package codec turns values and closures into bytes and back, for two processes of the same executable.
//
// A message is a table of objects (what pointers, slices, maps and func values lead to) and their contents; a pointer
// is an object's number and an offset in it. So shared memory stays shared, cycles stay cycles, and nothing
// here recurses over values. Pointer-free memory crosses as it is. Types are named by where
// the executable keeps their descriptors.
package codec

import (
	"errors"
	"reflect"
	"unsafe"

	"github.com/fleetinglambda/flame/internal/image"
)

// Trust says who made the bytes to decode.
type Trust uint8

const (
	// Untrusted bytes may be anything: Decode returns an error or values that are safe to use. It allocates at most 200
	// bytes for each that it was given and 8 MiB, besides what types with an encoding of their own make of theirs.
	Untrusted Trust = iota
	// Trusted bytes come from the parent, whose code a runner runs.
	Trusted
)

// Options are for Encode and EncodeError.
type Options struct {
	Limit    int64  // the most bytes a message may have; 0 means 1 GiB
	Snapshot bool   // the message shares no memory with the value
	Lender   Lender // keeps what the message lends; without one it may lend nothing

	Notice  Notice   // is told if the message is large; may be nil
	Returns *Watched // what the message has of it need not stay behind; may be nil
	Result  bool     // the message is a result, which the parent will not trust: what it would refuse, Encode refuses
	Behind  int      // how many bytes go ahead of the message, in the same memory: see aligned
}

// Notice is told of a message that has NoticeFrom bytes or more.
type Notice interface {
	// Large gets the message's size, and the path and the size of its largest part, as people read them.
	Large(size, path, part string)
}

// NoticeFrom is from how many bytes on a message is large: 16 MiB.
const NoticeFrom = 16 << 20

func (o Options) limit() int64 {
	if o.Limit <= 0 {
		return 1 << 30
	}
	return o.Limit
}

// Message is what Encode returns: parts to be written one after another. Parts may be memory of the value
// itself unless a snapshot was asked for: they hold as long as the value is not changed.
type Message [][]byte

// Size returns the length of all parts.
func (m Message) Size() (n int64) {
	for _, part := range m {
		n += int64(len(part))
	}
	return n
}

// SendError says what cannot cross to another process, and what to do instead.
type SendError struct {
	Path   string // where it is, seen from the function or value that was to cross, with its type
	Reason string // why, and the way out
}

// Error returns one line.
func (e *SendError) Error() string { return "cannot cross: " + e.Path + ": " + e.Reason }

// errNotPointer is for callers of this package, who pass pointers to variables only.
var errNotPointer = errors.New("codec: not a non-nil pointer to a value")

// Encode returns the message for *ptr. ptr is a non-nil pointer. An error is a *SendError.
func Encode(ptr any, o Options) (Message, error) {
	e, base, p, err := begin(ptr)
	if err != nil {
		return nil, err
	}
	defer e.release()
	e.lender = o.Lender
	if o.Result {
		e.may = typesFrom(e.im, p.typ)
	}
	e.collect(base, p)
	if e.err != nil {
		return nil, e.err
	}
	return e.write(o)
}

// checkRegions bounds how far Check looks.
const checkRegions = 64

// Check refuses what Encode would refuse for its type, without encoding: it looks at *ptr, at what closures
// captured, and at what is directly behind that.
func Check(ptr any) error {
	e, base, p, err := begin(ptr)
	if err != nil {
		return err
	}
	defer e.release()
	e.glance = checkRegions
	e.collect(base, p)
	return e.err
}

func begin(ptr any) (*encoder, unsafe.Pointer, *plan, error) {
	im, err := image.Self()
	if err != nil {
		return nil, nil, nil, &SendError{Path: "the value", Reason: err.Error()}
	}
	t, base := pointerIn(ptr)
	if base == nil {
		return nil, nil, nil, errNotPointer
	}
	return newEncoder(im), base, planOf(t.Elem()), nil
}

// Decode fills *ptr from data, which it does not keep. After an error *ptr may be filled in part. A
// message that decodes without error was read to its end.
func Decode(data []byte, ptr any, trust Trust) error {
	return decode(source{data: data, trust: trust}, ptr, nil)
}

// source is what is decoded.
type source struct {
	data     []byte
	trust    Trust
	given    bool     // data belongs to what is decoded from it: nobody else writes or reads it any more
	borrower Borrower // nil: nothing can be lent
}

func decode(from source, ptr any, w *Watched) error {
	im, err := image.Self()
	if err != nil {
		return err
	}
	t, base := pointerIn(ptr)
	if base == nil {
		return errNotPointer
	}
	d := newDecoder(im, from)
	defer d.release()
	err = d.decode(planOf(t.Elem()), base)
	if w != nil {
		w.forget()
		if err == nil {
			d.watch(w)
		}
	}
	return err
}

// pointerIn takes a pointer out of an interface; nil if there is none.
func pointerIn(ptr any) (reflect.Type, unsafe.Pointer) {
	t := reflect.TypeOf(ptr)
	if t == nil || t.Kind() != reflect.Pointer {
		return nil, nil
	}
	return t, wordsOf(&ptr)[1]
}

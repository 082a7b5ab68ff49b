package codec

import (
	"errors"
	"fmt"
	"reflect"
	"unsafe"

	"github.com/fleetinglambda/flame/internal/image"
)

// sentinel is an interface that held what a package-level variable held.
type sentinel struct {
	at  unsafe.Pointer
	off uint64
}

// identify takes this process's own value for a sentinel if it is of the same type and equal.
func (d *decoder) identify(s sentinel) {
	copied := words(s.at)
	itab, _, ok := d.im.VariableAt(s.off)
	if !ok || copied[0] == nil || itab != uintptr(copied[0]) {
		return
	}
	own := (*error)(d.im.Pointer(s.off)) // only package error variables are looked for, and the word says that it is one
	if reflect.DeepEqual(*own, *(*error)(s.at)) {
		*(*error)(s.at) = *own
	}
}

// asked calls a method; false if it panics.
func asked[T any](method func() T) (answer T, ok bool) {
	defer func() { ok = recover() == nil }()
	return method(), true
}

// crossedError stands for an error that cannot cross itself: it says the same and wraps the same.
type crossedError struct {
	text    string
	wrapped []error
}

// Error returns what the error said.
func (e *crossedError) Error() string { return e.text }

// Unwrap returns what it wrapped.
func (e *crossedError) Unwrap() []error { return e.wrapped }

// deepestTree bounds how far down a tree of wrapped errors is followed where it cannot cross as it is.
const deepestTree = 50

// EncodeError returns the message for an error. What cannot cross in it becomes text; the errors that it wraps
// are tried each for itself.
func EncodeError(err error, o Options) (Message, error) {
	if _, failed := image.Self(); failed != nil {
		return nil, failed
	}
	if !survives(err, o) {
		text := textOf(err)
		if err = crossable(err, o, deepestTree); !survives(err, o) {
			err = &crossedError{text: text}
		}
	}
	o.Snapshot = true
	return Encode(&err, o)
}

// crossable returns err if it survives the crossing, or what stands for it.
func crossable(err error, o Options, depth int) error {
	if err == nil || survives(err, o) {
		return err
	}
	stand := &crossedError{text: textOf(err)}
	if depth == 0 {
		return stand
	}
	for _, w := range unwrap(err) {
		if w != nil {
			stand.wrapped = append(stand.wrapped, crossable(w, o, depth-1))
		}
	}
	return stand
}

// survives tries the crossing.
func survives(err error, o Options) bool {
	msg, failed := Encode(&err, Options{Limit: o.Limit, Snapshot: true})
	if failed != nil {
		return false
	}
	var data []byte
	for _, part := range msg {
		data = append(data, part...)
	}
	var back error
	return Decode(data, &back, Untrusted) == nil
}

func textOf(err error) string {
	if text, ok := asked(err.Error); ok {
		return text
	}
	return fmt.Sprintf("(%T: its Error method panics)", err)
}

// unwrap returns what an error wraps. A broken Unwrap method wraps nothing.
func unwrap(err error) []error {
	wrapped, _ := asked(func() []error { return unwrapped(err) })
	return wrapped
}

func unwrapped(err error) []error {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return many.Unwrap()
	}
	if w := errors.Unwrap(err); w != nil {
		return []error{w}
	}
	return nil
}

// DecodeError returns the error that EncodeError was given, as far as it could cross.
func DecodeError(data []byte, trust Trust) (error, error) {
	var err error
	if failed := Decode(data, &err, trust); failed != nil {
		return nil, failed
	}
	return err, nil
}

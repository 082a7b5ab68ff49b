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

// errorSteps is how many steps the check of the errors in one message may take.
const errorSteps = 1 << 16

// checkError makes sure that an error from untrusted bytes can be asked what it says and what it wraps: that it does
// not wrap itself, and is not a nil pointer whose methods panic.
func (d *decoder) checkError(err error, steps *int) {
	todo := []error{err}
	var seen []error
	for len(todo) > 0 {
		if *steps--; *steps < 0 {
			d.fail("an error wraps itself, or too much")
			return
		}
		err := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		wrapped, ok := asked(func() []error { return unwrapped(err) })
		if !ok {
			d.fail("the Unwrap method of a %T panics", err)
			return
		}
		seen = append(seen, err)
		for _, w := range wrapped {
			if w != nil {
				todo = append(todo, w)
			}
		}
	}
	for _, err := range seen {
		if _, ok := asked(err.Error); !ok {
			d.fail("the Error method of a %T panics", err)
			return
		}
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

// deepest bounds how far down a tree of wrapped errors is followed where it cannot cross as it is.
const deepest = 50

// EncodeError returns the message for an error. What cannot cross in it becomes text; the errors that it wraps
// are tried each for itself.
func EncodeError(err error, o Options) (Message, error) {
	im, failed := image.Self()
	if failed != nil {
		return nil, failed
	}
	err = crossable(im, err, o, deepest)
	o.Snapshot = true
	return Encode(&err, o)
}

// crossable returns err if it survives the crossing, or what stands for it.
func crossable(im *image.Image, err error, o Options, depth int) error {
	if err == nil || survives(im, err, o) {
		return err
	}
	stand := &crossedError{text: textOf(err)}
	if depth == 0 {
		return stand
	}
	for _, w := range unwrap(err) {
		if w != nil {
			stand.wrapped = append(stand.wrapped, crossable(im, w, o, depth-1))
		}
	}
	return stand
}

// survives tries the crossing.
func survives(im *image.Image, err error, o Options) bool {
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

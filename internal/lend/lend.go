// Package lend is about what a function uses while it runs elsewhere, though it stays where it is: contexts, loggers,
// readers, writers and files of the parent. The parent keeps them on a [Desk], one for each call; on the runner a [Borrower] makes
// what stands in for them. The two tell each other what happens in notes, which a session carries in order.
package lend

import (
	"context"
	"encoding/binary"
	"errors"
	"log"
	"log/slog"
	"reflect"
)

// kind says what is lent.
type kind byte

const (
	aContext kind = iota + 1
	aLogger
	aLineLogger
	aStream
	aSender   // a channel that the function sends to
	aReceiver // one that it receives from
)

// op says what a note is about. What follows it is described where it is written.
type op byte

const (
	gone      op = iota // no note: the parent is, and a function that is detached goes on
	ended               // parent → runner: a context is over; its cause
	logged              // runner → parent: the call that a record is of, and the record; or a line
	asked               // runner → parent: epoch, and how much the function has read in all: a stream may be read on
	back                // runner → parent: how much it has read in all: it reads on from there
	read                // parent → runner: epoch, bytes of a stream
	failed              // parent → runner: epoch, the last bytes with their number, the error that a Read returned
	write               // runner → parent: epoch, bytes for a stream
	wrote               // parent → runner: what so many of them cost
	unwritten           // parent → runner: the error that a Write returned
	request             // runner → parent: verb, id, epoch, and what else the verb needs
	answered            // parent → runner: id, a number, bytes with their number, the error if there is one
	element             // both: whether it is the last piece, a byte, and a piece of an element of a channel
	closing             // both: a channel is closed behind its elements
	took                // both: how many elements may be on the way in all, and how many the channel has had
)

// noteHead is at least what a note has besides bytes of a stream and an error.
const noteHead = 64

// note makes a note about the thing with a number.
func note(number uint64, o op, payload ...byte) []byte {
	return append(appendNote(make([]byte, 0, 11+len(payload)), number, o), payload...)
}

// appendNote begins a note.
func appendNote(b []byte, number uint64, o op) []byte {
	return append(binary.AppendUvarint(b, number), byte(o))
}

var errNote = errors.New("a note about something lent cannot be read")

// cutNote is the inverse of note.
func cutNote(b []byte) (number uint64, o op, payload []byte, err error) {
	number, n := binary.Uvarint(b)
	if n <= 0 || n >= len(b) {
		return 0, 0, nil, errNote
	}
	return number, op(b[n]), b[n+1:], nil
}

var contextType = reflect.TypeFor[context.Context]()

// kindOf says as what a variable's value is lent.
func kindOf(v any, as reflect.Type) kind {
	switch {
	case as == contextType:
		return aContext
	case as.Kind() == reflect.Interface:
		return aStream
	case as.Kind() == reflect.Chan && as.ChanDir() == reflect.SendDir:
		return aSender
	case as.Kind() == reflect.Chan && as.ChanDir() == reflect.RecvDir:
		return aReceiver
	}
	switch v.(type) {
	case *slog.Logger:
		return aLogger
	case *log.Logger:
		return aLineLogger
	}
	return 0
}

// Package lend is about what a function uses while it runs elsewhere, though it stays where it is: contexts, loggers
// and readers of the parent. The parent keeps them on a [Desk], one for each call; on the runner a [Borrower] makes
// what stands in for them. The two tell each other what happens in notes, which a session carries in order.
package lend

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
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
	aReader
)

// op says what a note is about. What follows it is described where it is written.
type op byte

const (
	ended   op = iota + 1 // parent → runner: a context is over; its cause
	logged                // runner → parent: a record or a line
	asked                 // runner → parent: a reader may send so many bytes more
	read                  // parent → runner: bytes of a reader
	failed                // parent → runner: a reader has no more; its error
	toClose               // runner → parent: a reader is to be closed
	closed                // parent → runner: it is; its error
)

// note makes a note about the thing with a number.
func note(number uint64, o op, payload ...byte) []byte {
	b := binary.AppendUvarint(make([]byte, 0, 10+len(payload)), number)
	return append(append(b, byte(o)), payload...)
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
	if as == contextType {
		return aContext
	}
	switch v.(type) {
	case *slog.Logger:
		return aLogger
	case *log.Logger:
		return aLineLogger
	case io.Reader:
		return aReader
	}
	return 0
}

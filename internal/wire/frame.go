// Package wire turns frames into bytes and back. It holds no connection, goroutine or clock.
//
// A frame is a header of 12 bytes and a payload of at most [MaxPayload]:
//
//	call    uint64  the call it belongs to, 0 for the session itself
//	length  uint16  bytes of payload
//	kind    uint8
//	_       uint8   must be 0
//
// Numbers are little-endian. A message (a function with its captures, or a result) starts in a frame of
// kind [Call] or [Result] whose payload begins with its whole size, and goes on in [Chunk] frames.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Kind says what a frame means.
type Kind uint8

// The kinds of frames. A number is never used again for another meaning.
const (
	Hello   Kind = 1  // runner → parent: who I am and what I was built from
	Welcome Kind = 2  // parent → runner: you are in, and what I expect of you
	Ready   Kind = 3  // runner → parent: I have all that, calls may come
	Refuse  Kind = 4  // either way, instead of Welcome or Ready: why not
	Call    Kind = 5  // parent → runner: the head of a function with its captures
	Result  Kind = 6  // runner → parent: the head of what it returned
	Chunk   Kind = 7  // either way: more of a call or of a result
	Cancel  Kind = 8  // parent → runner: cancel the call's context
	Abandon Kind = 9  // parent → runner: the rest of a call's message will not come; it never starts
	Ping    Kind = 10 // parent → runner: are you there
	Pong    Kind = 11 // runner → parent: I am
	Drain   Kind = 12 // parent → runner: nothing new comes; leave when your calls are over
	Note    Kind = 13 // either way: about something that the parent has lent to a call
	Leave   Kind = 14 // runner → parent: I take nothing new; drain me when your calls are over
	Stacks  Kind = 15 // parent → runner: where is this call, or with call 0 every goroutine; runner → parent: there
	Tell    Kind = 16 // runner → parent: what was printed or logged, by the call, or with call 0 by whomever

	lastKind = Tell
)

const (
	// HeaderSize is the size of a frame's header in bytes.
	HeaderSize = 12
	// MaxFrame bounds a frame, header included.
	MaxFrame = 64 << 10
	// MaxPayload bounds a frame's payload.
	MaxPayload = MaxFrame - HeaderSize
	// CallHeadSize is what a Call frame's payload starts with: size, time left, key, attempt and whether it is detached or resident.
	CallHeadSize = 28
	// ResultHeadSize is what a Result frame's payload starts with: size and whether the call is held.
	ResultHeadSize = 9
)

// ErrCorrupt means that the bytes are not frames. The session they came from cannot go on.
var ErrCorrupt = errors.New("corrupt frame")

// Frame is one frame. Its payload is valid until the next one is read, unless it was placed.
type Frame struct {
	Call    uint64
	Kind    Kind
	Payload []byte
	Placed  bool // the payload is where Reader.Place wanted it
}

// AppendHeader appends the header of a frame with a payload of n bytes, which is at most MaxPayload.
func AppendHeader(b []byte, k Kind, call uint64, n int) []byte {
	b = binary.LittleEndian.AppendUint64(b, call)
	b = binary.LittleEndian.AppendUint16(b, uint16(n))
	return append(b, byte(k), 0)
}

// AppendFrame appends a whole frame. The payload is at most MaxPayload.
func AppendFrame(b []byte, k Kind, call uint64, payload []byte) []byte {
	return append(AppendHeader(b, k, call, len(payload)), payload...)
}

// CallHead is what a Call frame says about its message.
type CallHead struct {
	Size int64         // of the whole message
	Left time.Duration // until the call's deadline; 0 means that it has none
	Key  uint64        // names the function's code, so that the runner can learn how long it takes

	Attempt  int  // which run of the call this is; at most MaxAttempt
	Detached bool // the function goes on when the session is over
	Resident bool // there is no function: what comes stays for calls that come later
}

// MaxAttempt is the last attempt that can be told; later ones say the same.
const MaxAttempt = 1<<30 - 1

// AppendCallHead appends h.
func AppendCallHead(b []byte, h CallHead) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(h.Size))
	b = binary.LittleEndian.AppendUint64(b, uint64(h.Left))
	b = binary.LittleEndian.AppendUint64(b, h.Key)
	last := uint32(max(0, min(h.Attempt, MaxAttempt))) << 2
	if h.Detached {
		last |= 1
	}
	if h.Resident {
		last |= 2
	}
	return binary.LittleEndian.AppendUint32(b, last)
}

// CutCallHead splits a Call frame's payload into its head and the first bytes of the message.
func CutCallHead(p []byte) (CallHead, []byte, error) {
	if len(p) < CallHeadSize {
		return CallHead{}, nil, fmt.Errorf("%w: a call's head of %d bytes", ErrCorrupt, len(p))
	}
	last := binary.LittleEndian.Uint32(p[24:])
	h := CallHead{
		Size:     int64(binary.LittleEndian.Uint64(p)),
		Left:     time.Duration(binary.LittleEndian.Uint64(p[8:])),
		Key:      binary.LittleEndian.Uint64(p[16:]),
		Attempt:  int(last >> 2),
		Detached: last&1 != 0,
		Resident: last&2 != 0,
	}
	rest := p[CallHeadSize:]
	if h.Left < 0 {
		return CallHead{}, nil, fmt.Errorf("%w: negative time left", ErrCorrupt)
	}
	return h, rest, checkSize(h.Size, rest)
}

// ResultHead is what a Result frame says about its message.
type ResultHead struct {
	Size int64 // of the whole message
	Held bool  // the call goes on, for what the result has lent; another result ends it
}

// AppendResultHead appends h.
func AppendResultHead(b []byte, h ResultHead) []byte {
	held := byte(0)
	if h.Held {
		held = 1
	}
	return append(binary.LittleEndian.AppendUint64(b, uint64(h.Size)), held)
}

// CutResultHead splits a Result frame's payload into its head and the first bytes of the message.
func CutResultHead(p []byte) (ResultHead, []byte, error) {
	if len(p) < ResultHeadSize || p[8] > 1 {
		return ResultHead{}, nil, fmt.Errorf("%w: a result's head of %d bytes", ErrCorrupt, len(p))
	}
	h, rest := ResultHead{Size: int64(binary.LittleEndian.Uint64(p)), Held: p[8] == 1}, p[ResultHeadSize:]
	return h, rest, checkSize(h.Size, rest)
}

func checkSize(size int64, first []byte) error {
	if size < int64(len(first)) {
		return fmt.Errorf("%w: a message of %d bytes with %d in its first frame", ErrCorrupt, size, len(first))
	}
	return nil
}

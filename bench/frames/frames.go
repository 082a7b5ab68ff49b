// Package frames is the least that two processes need to call each other: frames with a number on a socket.
//
// It is what flame's own sessions are compared with, so it does nothing else: no deadlines, no
// cancelling, no payload that does not fit its buffer, no sign of life. It panics where a real protocol has errors.
package frames

import (
	"encoding/binary"
	"io"
	"net"
	"os"
)

// HeaderSize is the size of a frame's header: id uint64, length uint32, kind uint32.
const HeaderSize = 16

// call is the only kind of frame there is.
const call = 1

const bufferSize = 64 << 10

// Pair returns both ends of a new connection: one to use here, one for a child to inherit.
func Pair() (here net.Conn, child *os.File, err error) {
	parentEnd, childEnd, err := BlockingPair()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	file := os.NewFile(uintptr(parentEnd), "parent")
	defer file.Close()
	child = os.NewFile(uintptr(childEnd), "child")
	if here, err = net.FileConn(file); err != nil {
		child.Close()
		return nil, nil, err
	}
	return here, child, nil
}

// Inherited returns the end of the connection that a child has inherited as its first extra file.
func Inherited() (net.Conn, error) {
	file := os.NewFile(3, "inherited")
	defer file.Close()
	return net.FileConn(file)
}

// appendFrame appends an empty frame.
func appendFrame(b []byte, id uint64) []byte {
	b = binary.LittleEndian.AppendUint64(b, id)
	b = binary.LittleEndian.AppendUint32(b, 0)
	return binary.LittleEndian.AppendUint32(b, call)
}

// frameAt returns the size of the frame that b begins with, and false if b holds only a part of it.
func frameAt(b []byte) (size int, ok bool) {
	if len(b) < HeaderSize {
		return 0, false
	}
	if binary.LittleEndian.Uint32(b[12:]) != call {
		panic("frames: unknown kind")
	}
	size = HeaderSize + int(binary.LittleEndian.Uint32(b[8:]))
	return size, len(b) >= size
}

// eachFrame calls do with every whole frame in b and returns what is left.
func eachFrame(b []byte, do func(frame []byte)) (rest []byte) {
	for {
		size, ok := frameAt(b)
		if !ok {
			return b
		}
		do(b[:size])
		b = b[size:]
	}
}

// Echo answers every frame with itself until the other end is closed. Frames that arrived together are answered together.
func Echo(conn io.ReadWriter) error {
	in, out, have := make([]byte, bufferSize), make([]byte, 0, bufferSize), 0
	for {
		n, err := conn.Read(in[have:])
		if err != nil {
			return err
		}
		out = out[:0]
		rest := eachFrame(in[:have+n], func(frame []byte) { out = append(out, frame...) })
		have = copy(in, rest)
		if len(out) == 0 {
			continue
		}
		if _, err := conn.Write(out); err != nil {
			return err
		}
	}
}

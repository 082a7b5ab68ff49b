package lend

import (
	"io"
	"reflect"
)

// shape is which methods of streams an interface asks for.
type shape byte

const (
	reads shape = 1 << iota
	writes
	seeks
	closes
	readsAt
	writesAt

	allShapes
)

// shapeOf returns the shape of an interface type.
func shapeOf(as reflect.Type) (s shape) {
	for i := range as.NumMethod() {
		switch as.Method(i).Name {
		case "Read":
			s |= reads
		case "Write":
			s |= writes
		case "Seek":
			s |= seeks
		case "Close":
			s |= closes
		case "ReadAt":
			s |= readsAt
		case "WriteAt":
			s |= writesAt
		}
	}
	return s
}

// What stands in is made of these, each with one method.
type (
	lentRead    struct{ s *borrowedStream }
	lentWrite   struct{ s *borrowedStream }
	lentSeek    struct{ s *borrowedStream }
	lentClose   struct{ s *borrowedStream }
	lentReadAt  struct{ s *borrowedStream }
	lentWriteAt struct{ s *borrowedStream }
)

// Read reads as the parent's reader does.
func (l lentRead) Read(b []byte) (int, error) { return l.s.read(b) }

// Write has the parent's writer write b, and tells of an error later.
func (l lentWrite) Write(b []byte) (int, error) { return l.s.write(b) }

// Seek seeks as if nothing had been read ahead.
func (l lentSeek) Seek(offset int64, whence int) (int64, error) { return l.s.seek(offset, whence) }

// Close closes what the parent has, and returns what that returns.
func (l lentClose) Close() error { return l.s.close() }

// ReadAt reads as the parent's does.
func (l lentReadAt) ReadAt(b []byte, off int64) (int, error) { return l.s.readAt(b, off) }

// WriteAt writes as the parent's does.
func (l lentWriteAt) WriteAt(b []byte, off int64) (int, error) { return l.s.writeAt(b, off) }

var (
	_ io.ReadWriteSeeker = struct {
		lentRead
		lentWrite
		lentSeek
	}{}
	_ io.ReaderAt = lentReadAt{}
	_ io.WriterAt = lentWriteAt{}
	_ io.Closer   = lentClose{}
)

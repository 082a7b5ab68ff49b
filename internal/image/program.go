package image

import (
	"encoding/binary"
	"reflect"
	"runtime"
	"strconv"
	"unsafe"
)

// machineOf returns how an architecture works, or nil if its code is not understood.
func machineOf(arch string) *machine {
	switch arch {
	case "amd64":
		return amd64()
	case "arm64":
		return arm64()
	default:
		return nil
	}
}

func (im *Image) machine() *machine { return im.mach }

func (im *Image) region(addr uintptr) Region {
	_, r := im.Locate(addr)
	return r
}

// read returns text or read-only data, which is mapped, readable and never changes.
func (im *Image) read(addr, n uintptr) []byte {
	if r := im.within(addr, n); n == 0 || r != Text && r != ReadOnly {
		return nil
	}
	return unsafe.Slice((*byte)(at(addr)), n)
}

// text returns the text that an address of code is in.
func (im *Image) text(addr uintptr) span {
	for _, s := range im.ranges {
		if addr >= s.start && addr < s.end {
			return s
		}
	}
	return span{}
}

func (im *Image) function(pc uintptr) (entry uintptr, name string) {
	f := runtime.FuncForPC(pc)
	if f == nil {
		return 0, ""
	}
	return f.Entry(), f.Name()
}

// isClosureAt says whether a value is the descriptor of a closure object.
func isClosureAt(p program, v value) bool { return v.kind == static && isClosure(p, v.addr) }

// Where a descriptor of a struct type has what, as internal/abi.StructType lays it out on 64-bit machines.
const (
	typeFlags    = 20
	typeKind     = 23
	typeName     = 40 // offset from where the types begin
	structFields = 56 // slice of fields
	structSize   = 80
	fieldSize    = 24 // name, type, offset
	flagNamed    = 1 << 2
)

// isClosure checks with bounded reads that a descriptor is that of a closure object:
// struct { F uintptr; X0 T0; X1 T1; … } or struct { F uintptr; R T }.
func isClosure(p program, desc uintptr) bool {
	head := p.read(desc, structSize)
	if head == nil || desc%ptrSize != 0 || head[typeKind]&kindMask != uint8(reflect.Struct) || head[typeFlags]&flagNamed != 0 {
		return false
	}
	n := word64(head[structFields+8:])
	if n < 2 || n > maxObject/fieldSize {
		return false
	}
	fields := p.read(word64(head[structFields:]), n*fieldSize)
	if fields == nil || fieldName(p, fields) != "F" || word64(fields[16:]) != 0 || !isUintptr(p, word64(fields[8:])) {
		return false
	}
	if n == 2 && fieldName(p, fields[fieldSize:]) == "R" {
		return true
	}
	for i := range n - 1 {
		name := fieldName(p, fields[(i+1)*fieldSize:])
		if name != "X"+strconv.Itoa(int(i)) && name != ".dict" {
			return false
		}
	}
	return true
}

func isUintptr(p program, desc uintptr) bool {
	t := p.read(desc, typeKind+1)
	return t != nil && t[typeKind]&kindMask == uint8(reflect.Uintptr) && t[typeFlags]&flagNamed != 0
}

// fieldName returns the name of the struct field described at the start of b.
func fieldName(p program, b []byte) string { return nameAt(p, word64(b)) }

// nameAt reads the name at an address: flags, a length, and text.
func nameAt(p program, addr uintptr) string {
	const more = 0x80
	head := p.read(addr, 3)
	if head == nil {
		return ""
	}
	n, skip := uintptr(head[1]), uintptr(2)
	if n&more != 0 {
		n, skip = n&^more|uintptr(head[2])<<7, 3
	}
	return string(p.read(addr+skip, n))
}

// word64 reads a word. Both architectures are little-endian.
func word64(b []byte) uintptr { return uintptr(binary.LittleEndian.Uint64(b)) }

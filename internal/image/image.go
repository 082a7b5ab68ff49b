// Package image reads this executable's own image: its build identity, where static data lies, and how the
// closures of its functions are laid out in memory.
//
// Everything here holds for processes that run the same executable: an offset from the image's base means the same
// function, type or variable in each of them, wherever the system has loaded it.
package image

import (
	"fmt"
	"reflect"
	"sort"
	"sync"
	"unsafe"
)

// Path is what to execute to boot this very build. After a redeploy the executable's own name means the
// new file; this does not.
const Path = "/proc/self/exe"

// Region says what kind of static memory an address lies in.
type Region uint8

// The regions.
const (
	Outside  Region = iota // not in the image: heap, stack, or nothing
	Text                   // machine code
	ReadOnly               // constants, type descriptors, dictionaries
	Writable               // package-level variables
)

// Image is this executable as it is loaded.
type Image struct {
	mach   *machine
	base   uintptr // what the system added to the addresses in the file
	ranges []span  // sorted
	types  uintptr // where the types begin; 0 if that is not understood
	build  func() string

	binder binder
	typeList
	pairs   sync.Map // itab word -> []pair, see Variable
	closure sync.Map // closureKey -> closureResult
}

// span is one piece of static memory.
type span struct {
	start, end uintptr
	region     Region
}

// Self returns this executable's image. It reads the headers of [Path] once.
var Self = sync.OnceValues(self)

// Build returns the identity of the build: the Go build id, or where the build was told to leave it
// out, a hash of the file.
func (im *Image) Build() string { return im.build() }

// Locate returns an address's offset from the image's base and what kind of memory it is in.
func (im *Image) Locate(addr uintptr) (off uint64, r Region) {
	if addr < im.ranges[0].start || addr >= im.ranges[len(im.ranges)-1].end {
		return 0, Outside
	}
	i := sort.Search(len(im.ranges), func(i int) bool { return addr < im.ranges[i].end })
	if s := im.ranges[i]; addr >= s.start {
		return uint64(addr - im.base), s.region
	}
	return 0, Outside
}

// Pointer returns the address at an offset, or nil if that is not in the image.
func (im *Image) Pointer(off uint64) unsafe.Pointer {
	addr := im.base + uintptr(off)
	if _, r := im.Locate(addr); r == Outside {
		return nil
	}
	return at(addr)
}

// at turns the address of static memory into a pointer. This is sound because that memory is mapped for the
// life of the process and never moves; the garbage collector does not look after it. The address is read
// as a pointer through memory, as no arithmetic from a known base could reach it.
func at(addr uintptr) unsafe.Pointer {
	return *(*unsafe.Pointer)(unsafe.Pointer(&addr))
}

// TypeOffset returns the offset of a type's descriptor; false for a type that reflect made at run time.
func (im *Image) TypeOffset(t reflect.Type) (uint64, bool) {
	off, r := im.Locate(uintptr(descriptorOf(t)))
	return off, r == ReadOnly
}

// descriptorOf returns the address of t's descriptor: the data word of the interface, since every
// reflect.Type of the gc toolchain is a pointer to a descriptor.
func descriptorOf(t reflect.Type) unsafe.Pointer {
	return (*[2]unsafe.Pointer)(unsafe.Pointer(&t))[1]
}

// typeTab is the first word of the reflect.Type interface, the same for every type.
var typeTab = func() unsafe.Pointer {
	t := reflect.TypeFor[int]()
	return (*[2]unsafe.Pointer)(unsafe.Pointer(&t))[0]
}()

// typeOf is the inverse of descriptorOf. d must be a descriptor.
func typeOf(d unsafe.Pointer) (t reflect.Type) {
	*(*[2]unsafe.Pointer)(unsafe.Pointer(&t)) = [2]unsafe.Pointer{typeTab, d}
	return t
}

// TypeAt returns the type whose descriptor is at an offset. It reads within the image only and
// refuses what cannot be a descriptor.
func (im *Image) TypeAt(off uint64) (reflect.Type, error) {
	addr := im.base + uintptr(off)
	if !im.maybeDescriptor(addr) {
		return nil, fmt.Errorf("there is no type at offset %#x of the executable", off)
	}
	return typeOf(at(addr)), nil
}

// abiType is the head of a type descriptor, as internal/abi.Type lays it out.
type abiType struct {
	size, ptrBytes     uintptr
	hash               uint32
	tflag              uint8
	align, fieldAlign_ uint8
	kind               uint8
	equal              unsafe.Pointer
	gcData             unsafe.Pointer
	str, ptrToThis     int32
}

const (
	kindMask   = 1<<5 - 1
	maxObject  = 1 << 31 // no type is larger
	tflagKnown = 0x7f    // flags that exist
)

// maybeDescriptor checks what every descriptor has in common.
func (im *Image) maybeDescriptor(addr uintptr) bool {
	size := unsafe.Sizeof(abiType{})
	if addr%unsafe.Alignof(abiType{}) != 0 || im.within(addr, size) != ReadOnly {
		return false
	}
	return im.soundHead((*abiType)(at(addr))) // in bounds and aligned, checked above
}

// soundHead checks what every descriptor begins with.
func (im *Image) soundHead(t *abiType) bool {
	kind := reflect.Kind(t.kind & kindMask)
	if kind == reflect.Invalid || kind > reflect.UnsafePointer || t.size > maxObject || t.ptrBytes > t.size {
		return false
	}
	if t.align == 0 || t.align > 16 || t.align&(t.align-1) != 0 || t.size%uintptr(t.align) != 0 || t.str < 0 {
		return false
	}
	return im.isFuncvalOrNil(t.equal) && im.isName(im.types+uintptr(t.str))
}

func (im *Image) isFuncvalOrNil(p unsafe.Pointer) bool {
	if p == nil {
		return true
	}
	_, r := im.Locate(uintptr(p))
	return r == ReadOnly
}

// isName checks that the name of a type can be at addr: flags, a length, and text.
func (im *Image) isName(addr uintptr) bool {
	const flags, more = 0x0f, 0x80
	if im.types == 0 || im.within(addr, 3) != ReadOnly {
		return false
	}
	head := (*[3]byte)(at(addr)) // in bounds
	n, skip := uintptr(head[1]), uintptr(2)
	if n&more != 0 {
		n, skip = n&^more|uintptr(head[2])<<7, 3
	}
	if head[0]&^flags != 0 || n == 0 || head[1]&more != 0 && head[2]&more != 0 || im.within(addr, skip+n) != ReadOnly {
		return false
	}
	for _, c := range unsafe.Slice((*byte)(at(addr+skip)), n) { // in bounds
		if c < ' ' {
			return false
		}
	}
	return true
}

// typesBegin returns where the types begin: names are offsets from there, and where one name is, reflect tells.
func (im *Image) typesBegin() uintptr {
	const head = 2 // flags and a length below 128
	t := reflect.TypeFor[*Image]()
	name := uintptr(unsafe.Pointer(unsafe.StringData(t.String())))
	begin := name - head - uintptr((*abiType)(descriptorOf(t)).str)
	if _, r := im.Locate(begin); r != ReadOnly {
		return 0
	}
	return begin
}

// within returns the region that holds all of addr[:n], or Outside.
func (im *Image) within(addr, n uintptr) Region {
	_, r := im.Locate(addr)
	if _, last := im.Locate(addr + n - 1); addr+n < addr || last != r {
		return Outside
	}
	return r
}

// word reads one word of static memory; the caller has checked that it is there. The memory may be written
// by others at the same time: the race detector is not told, and the word is only compared.
//
//go:norace
func word(addr uintptr) uintptr { return *(*uintptr)(at(addr)) }

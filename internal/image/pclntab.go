package image

import (
	"bytes"
	"encoding/binary"
	"errors"
	"sort"
)

// pclntab is the table of functions that Go's linker writes into every executable, stripped or not.
type pclntab struct {
	data    []byte
	start   uintptr // where the functions' code begins
	entries []byte  // pairs of 32-bit offsets: of the code, and of what is known about the function
	names   []byte
	infos   []byte
}

// Where the table's header has what; see runtime.pcHeader.
const (
	pclnMagic  = 0xfffffff1
	pclnCount  = 8
	pclnNames  = 32
	pclnInfos  = 64
	pclnHeader = 72
	entrySize  = 8
)

var errNoTable = errors.New("it has no table of functions as Go 1.26 writes it (another Go release, or packed by upx?): build it with the Go release that built this")

// findTables finds the table of functions, and through the address of it the description of the module, which says
// where the code and the types begin.
func (p *fileProgram) findTables() error {
	magic := binary.LittleEndian.AppendUint32(nil, pclnMagic)
	for i := range p.chunks {
		c := &p.chunks[i]
		for off := 0; c.region != Text; off++ {
			n := bytes.Index(c.data[off:], magic)
			if off += n; n < 0 {
				break
			}
			t, ok := readTable(c.data[off:])
			if ok && p.findModule(c.start+uintptr(off), t) {
				return nil
			}
		}
	}
	return errNoTable
}

// readTable reads the header of the table at the start of b.
func readTable(b []byte) (t pclntab, ok bool) {
	if len(b) < pclnHeader || b[4] != 0 || b[5] != 0 || b[7] != wordSize {
		return t, false
	}
	count, names, infos := word64(b[pclnCount:]), word64(b[pclnNames:]), word64(b[pclnInfos:])
	size := uintptr(len(b))
	if names >= size || infos >= size || count == 0 || count > (size-infos)/entrySize {
		return t, false
	}
	return pclntab{data: b, names: b[names:], infos: b[infos:], entries: b[infos:][:count*entrySize]}, true
}

// Where the description of a module has what; see runtime.moduledata.
const (
	moduleText  = 176
	moduleTypes = 296
	moduleSize  = 312
)

// findModule finds the module of the table at an address: it begins with that address.
func (p *fileProgram) findModule(table uintptr, t pclntab) bool {
	word := binary.LittleEndian.AppendUint64(nil, uint64(table))
	for _, c := range p.chunks {
		for off := 0; c.region != Text && off < len(c.data); off++ {
			n := bytes.Index(c.data[off:], word)
			if off += n; n < 0 {
				break
			}
			m := c.data[off:]
			if len(m) < moduleSize {
				break
			}
			text, types := word64(m[moduleText:]), word64(m[moduleTypes:])
			if p.region(text) == Text && p.region(types) != Text && p.chunkAt(types) != nil {
				t.start = text
				p.types, p.funcs = types, t
				return true
			}
		}
	}
	return false
}

// find returns the entry and the name of the function that an address lies in, or 0.
func (t *pclntab) find(pc uintptr) (entry uintptr, name string) {
	if pc < t.start {
		return 0, ""
	}
	off, n := uint64(pc-t.start), len(t.entries)/entrySize
	i := sort.Search(n, func(i int) bool { return uint64(binary.LittleEndian.Uint32(t.entries[i*entrySize:])) > off }) - 1
	if i < 0 {
		return 0, ""
	}
	e := t.entries[i*entrySize:]
	return t.start + uintptr(binary.LittleEndian.Uint32(e)), t.name(uintptr(binary.LittleEndian.Uint32(e[4:])))
}

// name returns the name of the function that is described at an offset.
func (t *pclntab) name(info uintptr) string {
	if info+8 > uintptr(len(t.infos)) {
		return ""
	}
	at := uintptr(binary.LittleEndian.Uint32(t.infos[info+4:]))
	if at >= uintptr(len(t.names)) {
		return ""
	}
	name, _, _ := bytes.Cut(t.names[at:], []byte{0})
	return string(name)
}

package image

import (
	"cmp"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sort"
	"strings"
)

// fileProgram is an executable as its file has it.
type fileProgram struct {
	mach   *machine
	chunks []chunk // sorted
	funcs  pclntab
	types  uintptr // where the types begin
}

// chunk is the content of a section.
type chunk struct {
	span
	data []byte
}

// maxSection bounds how much of a file is read at once.
const maxSection = 1 << 30

var errNotGo = errors.New("it is not an executable of Go for amd64 or arm64, or one that was packed (upx): give the executable as the go command wrote it")

// openFile reads an executable. Hostile files give errors.
func openFile(path string) (*fileProgram, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readProgram(f)
}

// readProgram reads an executable of any of the three formats.
func readProgram(r io.ReaderAt) (*fileProgram, error) {
	p := new(fileProgram)
	var magic [4]byte
	if _, err := r.ReadAt(magic[:], 0); err != nil {
		return nil, errNotGo
	}
	var err error
	switch {
	case string(magic[:]) == "\x7fELF":
		err = p.readELF(r)
	case string(magic[:]) == "\xcf\xfa\xed\xfe":
		err = p.readMachO(r)
	case string(magic[:2]) == "MZ":
		err = p.readPE(r)
	default:
		err = errNotGo
	}
	if err != nil {
		return nil, err
	}
	if p.mach == nil || len(p.chunks) == 0 {
		return nil, errNotGo
	}
	slices.SortFunc(p.chunks, func(a, b chunk) int { return cmp.Compare(a.start, b.start) })
	return p, p.findTables()
}

// add keeps the content of a section; what is too large or does not fit is left out.
func (p *fileProgram) add(start uint64, region Region, size uint64, data func() ([]byte, error)) {
	if size == 0 || size > maxSection || start > 1<<48 {
		return
	}
	b, err := data()
	if err != nil || len(b) == 0 || len(b) > maxSection {
		return
	}
	p.chunks = append(p.chunks, chunk{span{uintptr(start), uintptr(start) + uintptr(len(b)), region}, b})
}

func (p *fileProgram) readELF(r io.ReaderAt) error {
	f, err := elf.NewFile(r)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotGo, err)
	}
	p.mach = machineOf(map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64"}[f.Machine])
	for _, s := range f.Sections {
		if s.Flags&elf.SHF_ALLOC != 0 && s.Flags&elf.SHF_TLS == 0 && s.Type != elf.SHT_NOBITS {
			p.add(s.Addr, regionOf(s), s.Size, s.Data)
		}
	}
	for _, s := range f.Sections {
		if s.Type == elf.SHT_RELA && s.Flags&elf.SHF_ALLOC != 0 && s.Size < maxSection {
			if b, err := s.Data(); err == nil {
				p.relocate(b)
			}
		}
	}
	return nil
}

// complete says what is wrong with a file that lacks what Go's linker writes.
func complete(f *elf.File) error {
	switch {
	case f.Section(".text") == nil:
		return errPacked
	case f.Section(".gopclntab") == nil && f.Section(".data.rel.ro.gopclntab") == nil:
		return errNotThisFile
	}
	return nil
}

// regionOf says what kind of memory a section becomes.
func regionOf(s *elf.Section) Region {
	switch {
	case s.Flags&elf.SHF_EXECINSTR != 0:
		return Text
	case s.Flags&elf.SHF_WRITE != 0 && !strings.HasPrefix(s.Name, ".data.rel.ro"):
		return Writable
	default:
		return ReadOnly
	}
}

// relocate does what the system does when it loads a position-independent ELF executable: addresses in data are
// written only then.
func (p *fileProgram) relocate(rela []byte) {
	const size, amd64Relative, arm64Relative = 24, 8, 1027
	for ; len(rela) >= size; rela = rela[size:] {
		kind := uint32(word64(rela[8:]))
		if kind != amd64Relative && kind != arm64Relative {
			continue
		}
		if b := p.bytes(word64(rela), wordSize); b != nil {
			copy(b, rela[16:24])
		}
	}
}

func (p *fileProgram) readMachO(r io.ReaderAt) error {
	f, err := macho.NewFile(r)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotGo, err)
	}
	p.mach = machineOf(map[macho.Cpu]string{macho.CpuAmd64: "amd64", macho.CpuArm64: "arm64"}[f.Cpu])
	for _, s := range f.Sections {
		const kind, zeroFilled = 0xff, 1
		region := ReadOnly
		switch {
		case s.Seg == "__TEXT" && s.Name == "__text":
			region = Text
		case s.Seg == "__DATA":
			region = Writable
		}
		if s.Flags&kind != zeroFilled {
			p.add(s.Addr, region, s.Size, s.Data)
		}
	}
	return nil
}

func (p *fileProgram) readPE(r io.ReaderAt) error {
	f, err := pe.NewFile(r)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotGo, err)
	}
	p.mach = machineOf(map[uint16]string{pe.IMAGE_FILE_MACHINE_AMD64: "amd64", pe.IMAGE_FILE_MACHINE_ARM64: "arm64"}[f.Machine])
	head, ok := f.OptionalHeader.(*pe.OptionalHeader64)
	if !ok {
		return errNotGo
	}
	for _, s := range f.Sections {
		region := ReadOnly
		switch {
		case s.Characteristics&pe.IMAGE_SCN_MEM_EXECUTE != 0:
			region = Text
		case s.Characteristics&pe.IMAGE_SCN_MEM_WRITE != 0:
			region = Writable
		}
		p.add(head.ImageBase+uint64(s.VirtualAddress), region, uint64(s.Size), s.Data)
	}
	return nil
}

func (p *fileProgram) machine() *machine { return p.mach }

// chunkAt returns the section that an address is in, or nil.
func (p *fileProgram) chunkAt(addr uintptr) *chunk {
	i := sort.Search(len(p.chunks), func(i int) bool { return addr < p.chunks[i].end })
	if i == len(p.chunks) || addr < p.chunks[i].start {
		return nil
	}
	return &p.chunks[i]
}

func (p *fileProgram) bytes(addr, n uintptr) []byte {
	c := p.chunkAt(addr)
	if c == nil || n > c.end-addr {
		return nil
	}
	return c.data[addr-c.start:][:n]
}

// read returns what the file has at an address. Where Go's linker puts types differs between formats and
// link modes, and as nothing runs here, data that the program could change serves as well.
func (p *fileProgram) read(addr, n uintptr) []byte { return p.bytes(addr, n) }

func (p *fileProgram) text(addr uintptr) span {
	if c := p.chunkAt(addr); c != nil {
		return c.span
	}
	return span{}
}

func (p *fileProgram) region(addr uintptr) Region { return p.text(addr).region }

func (p *fileProgram) function(pc uintptr) (entry uintptr, name string) { return p.funcs.find(pc) }

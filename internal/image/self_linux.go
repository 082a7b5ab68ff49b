package image

import (
	"crypto/sha256"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
)

func self() (*Image, error) {
	mach := machineOf(runtime.GOARCH)
	if mach == nil {
		return nil, unsupported()
	}
	if err := buildMode(); err != nil {
		return nil, err
	}
	f, err := elf.Open(Path)
	if err != nil {
		return nil, fmt.Errorf("read this executable's headers: %w (is /proc mounted?)", err)
	}
	defer f.Close()
	im := &Image{mach: mach}
	if f.Type == elf.ET_DYN {
		if im.base, err = loadBias(f.Entry); err != nil {
			return nil, err
		}
	}
	for _, s := range f.Sections {
		if s.Flags&elf.SHF_ALLOC != 0 && s.Flags&elf.SHF_TLS == 0 && s.Size > 0 {
			start := im.base + uintptr(s.Addr)
			im.ranges = append(im.ranges, span{start, start + uintptr(s.Size), regionOf(s)})
			if strings.HasSuffix(s.Name, ".typelink") {
				im.list = im.ranges[len(im.ranges)-1]
			}
		}
	}
	if err := complete(f); err != nil {
		return nil, err
	}
	slices.SortFunc(im.ranges, func(a, b span) int { return int(int64(a.start) - int64(b.start)) })
	if _, r := im.Locate(reflect.ValueOf(runtime.GC).Pointer()); r != Text {
		return nil, errShared
	}
	im.types = im.typesBegin()
	id := goBuildID(f)
	im.build = sync.OnceValue(func() string {
		if id == "" {
			return fileHash()
		}
		return id
	})
	return im, nil
}

// loadBias returns what the system added to the file's addresses: the entry point's address now, as the kernel
// tells it, less the one in the file.
func loadBias(entry uint64) (uintptr, error) {
	const atEntry = 9
	aux, err := os.ReadFile("/proc/self/auxv")
	if err != nil {
		return 0, fmt.Errorf("find where this executable is loaded: %w", err)
	}
	for ; len(aux) >= 16; aux = aux[16:] {
		if binary.NativeEndian.Uint64(aux) == atEntry {
			return uintptr(binary.NativeEndian.Uint64(aux[8:]) - entry), nil
		}
	}
	return 0, errors.New("find where this executable is loaded: the kernel does not tell")
}

// goBuildID returns the id that the go command has put into the file, or "".
func goBuildID(f *elf.File) string {
	const header = 16 // name size, desc size, type, "Go\0\0"
	s := f.Section(".note.go.buildid")
	if s == nil {
		return ""
	}
	note, err := s.Data()
	if err != nil || len(note) < header || string(note[12:15]) != "Go\x00" {
		return ""
	}
	n := int(f.ByteOrder.Uint32(note[4:]))
	if n > len(note)-header {
		return ""
	}
	return string(note[header : header+n])
}

// fileHash identifies a build without an id.
func fileHash() string {
	f, err := os.Open(Path)
	if err != nil {
		return "unknown: " + err.Error()
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "unknown: " + err.Error()
	}
	return fmt.Sprintf("sha256:%x", h.Sum(nil))
}

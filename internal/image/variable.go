package image

// An error such as io.EOF is the value of a package-level variable: an interface table and a pointer, in writable
// static data. The variable's offset identifies it in every process of this executable.

// pair is where a variable holds a data word.
type pair struct {
	data uintptr
	off  uint64
}

// Variable returns the offset of a package-level variable that holds exactly this interface value: its
// interface table and its data word. The first question about a table scans all variables; what they held then is kept.
func (im *Image) Variable(itab, data uintptr) (off uint64, ok bool) {
	pairs, ok := im.pairs.Load(itab)
	if !ok {
		pairs, _ = im.pairs.LoadOrStore(itab, im.scan(itab))
	}
	for _, p := range pairs.([]pair) {
		if p.data == data {
			return p.off, true
		}
	}
	return 0, false
}

// scan finds the variables that hold an interface table.
func (im *Image) scan(itab uintptr) (found []pair) {
	for _, s := range im.ranges {
		if s.region != Writable {
			continue
		}
		for a := (s.start + ptrSize - 1) &^ (ptrSize - 1); a+2*ptrSize <= s.end; a += ptrSize {
			if word(a) == itab {
				found = append(found, pair{data: word(a + ptrSize), off: uint64(a - im.base)})
			}
		}
	}
	return found
}

// VariableAt reads the two words at an offset in writable static data.
func (im *Image) VariableAt(off uint64) (itab, data uintptr, ok bool) {
	a := im.base + uintptr(off)
	if a%ptrSize != 0 || im.within(a, 2*ptrSize) != Writable {
		return 0, 0, false
	}
	return word(a), word(a + ptrSize), true
}

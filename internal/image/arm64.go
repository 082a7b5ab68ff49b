package image

import "encoding/binary"

// arm64 instructions are words of 32 bits. Only the few that make closures are understood; of all others it is
// known, from the class of the instruction, which registers and stack slots they may change.
func arm64() *machine {
	return &machine{
		decode: decodeARM64, eachLoad: eachLoadARM64, padding: 0,
		first: 0, second: 1, barrier: mask(16, 17, 25, 27, 30), duff: mask(16, 17, 20, 21, 23, 24, 25, 26, 27, 30),
	}
}

const (
	zero   = 31 // as an operand: zero; as a base, the stack pointer
	instr  = 4  // bytes of an instruction
	allReg = 1<<registers - 1
)

// eachLoadARM64 calls f for all that looks like ADRP x, Xd; ADD $lo, Xd, Xe.
func eachLoadARM64(b []byte, pc uintptr, f func(at, loaded uintptr)) {
	for i := 0; i+2*instr <= len(b); i += instr {
		if b[i+3]&0x9f != 0x90 || b[i+2*instr-1] != 0x91 {
			continue
		}
		w, add := binary.LittleEndian.Uint32(b[i:]), binary.LittleEndian.Uint32(b[i+instr:])
		if add&0xffc00000 == 0x91000000 && add>>5&31 == w&31 {
			at := pc + uintptr(i)
			f(at, pageOf(w, at)+uintptr(add>>10&0xfff))
		}
	}
}

// signed extends the n low bits of w.
func signed(w uint32, n int) int64 { return int64(int32(w<<(32-n)) >> (32 - n)) }

// pageOf is the operand of ADRP.
func pageOf(w uint32, pc uintptr) uintptr {
	return pc&^0xfff + uintptr(signed(w>>5&(1<<19-1)<<2|w>>29&3, 21)<<12)
}

// decodeARM64 decodes the instruction at the start of b.
func decodeARM64(b []byte, pc uintptr) (step, bool) {
	if len(b) < instr {
		return step{}, false
	}
	w := binary.LittleEndian.Uint32(b)
	s := step{pc: pc, next: pc + instr}
	switch op := w >> 25 & 15; {
	case op>>1 == 0b100:
		s.immediate(w)
	case op>>1 == 0b101:
		s.branch(w)
	case op&0b0101 == 0b0100:
		s.memory(w)
	case w&0xffe0ffe0 == 0xaa0003e0: // MOVD Rm, Rd
		s.moves[0] = move{op: copyReg, reg: int(w & 31), base: int(w >> 16 & 31)}
		s.forget = 1 << zero
	case op&7 == 0b101, op&7 == 0b111: // arithmetic, floating point
		s.forget = 1<<(w&31) | 1<<zero
	default: // reserved, as literals and padding look
		s.forget, s.lose = allReg, true
	}
	return s, true
}

// immediate follows ADRP, ADR, ADD and the other instructions with a constant.
func (s *step) immediate(w uint32) {
	rd, rn := int(w&31), int(w>>5&31)
	switch {
	case w&0x9f000000 == 0x90000000:
		s.moves[0] = move{op: setPage, reg: rd, addr: pageOf(w, s.pc)}
	case w&0x9f000000 == 0x10000000:
		s.moves[0] = move{op: setAddr, reg: rd, addr: s.pc + uintptr(signed(w>>5&(1<<19-1)<<2|w>>29&3, 21))}
	case w&0xffc00000 == 0x91000000 && rd != zero && rn != zero:
		s.moves[0] = move{op: addPage, reg: rd, base: rn, off: int64(w >> 10 & 0xfff)}
	case w&0x1f000000 == 0x11000000 && w>>29&1 == 0 && rd == zero, w&0x1f800000 == 0x12000000 && w>>29&3 != 3 && rd == zero:
		s.lose = true // the stack pointer moves
	default:
		s.forget = 1 << rd
	}
	s.forget |= 1 << zero
}

// branch follows jumps, calls and what the system does.
func (s *step) branch(w uint32) {
	switch {
	case w>>26 == 0b000101:
		s.flow, s.target = jumps, s.jump(w, 26)
	case w>>26 == 0b100101:
		s.flow, s.target = calls, s.jump(w, 26)
	case w>>24 == 0x54, w>>25&0x3f == 0b011010: // B.cond, CBZ, CBNZ
		s.flow, s.target = mayJump, s.jump(w>>5, 19)
	case w>>25&0x3f == 0b011011: // TBZ, TBNZ
		s.flow, s.target = mayJump, s.jump(w>>5, 14)
	case w&0xfffffc1f == 0xd63f0000: // BL (Rn)
		s.flow = calls
	case w&0xfffffc1f == 0xd61f0000: // JMP (Rn)
		s.flow = jumps
	case w>>25 == 0b1101011, w>>24 == 0xd4: // RET and the like, traps
		s.flow = doesNotGo
		if w&0xffe0001f == 0xd4000001 { // SVC comes back
			s.flow, s.forget = goesOn, allReg
		}
	default: // barriers, hints, system registers
		s.forget = 1<<(w&31) | 1<<zero
	}
}

func (s *step) jump(w uint32, bits int) uintptr {
	return s.pc + uintptr(signed(w&(1<<bits-1), bits)*instr)
}

// memory follows loads and stores.
func (s *step) memory(w uint32) {
	rt, rt2, rn := int(w&31), int(w>>10&31), int(w>>5&31)
	base := rn
	if rn == zero {
		base = stack
	}
	switch w >> 27 & 7 {
	case 0b101: // pairs
		s.pair(w, rt, rt2, base)
	case 0b111: // single registers
		s.single(w, rt, base)
	case 0b011: // a literal of the text
		s.forget = 1 << rt
	default: // exclusive, and vectors
		s.forget, s.lose = 1<<rt|1<<rt2|1<<(w>>16&31)|1<<rn|1<<((rt+1)&31)|1<<((w>>16+1)&31), rn == zero
	}
	s.forget |= 1 << zero
}

// pair follows LDP and STP.
func (s *step) pair(w uint32, rt, rt2, base int) {
	vector, isLoad, opc, mode := w>>26&1 == 1, w>>22&1 == 1, w>>30, w>>23&3
	size := int64(4) << (opc >> 1)
	if vector {
		size = 4 << opc
	}
	off := signed(w>>15&0x7f, 7) * size
	if mode == 1 { // the offset is added afterwards
		s.indexed(base)
		off = 0
	} else if mode == 3 {
		s.indexed(base)
	}
	switch {
	case isLoad && vector:
	case isLoad && opc != 2:
		s.forget |= 1<<rt | 1<<rt2
	case isLoad:
		s.moves = [2]move{{op: load, reg: rt, base: base, off: off}, {op: load, reg: rt2, base: base, off: off + size}}
		if rt == base {
			s.moves[1] = move{op: copyReg, reg: rt2, base: stack}
		}
	case vector || opc != 2:
		s.moves[0] = move{op: spoil, base: base, off: off, spoilage: 2 * size}
	default:
		s.moves = [2]move{{op: store, reg: rt, base: base, off: off}, {op: store, reg: rt2, base: base, off: off + size}}
	}
}

// single follows LDR, STR and their kin.
func (s *step) single(w uint32, rt, base int) {
	vector, opc, bits := w>>26&1 == 1, w>>22&3, w>>30
	isLoad := opc&1 == 1 || !vector && opc != 0
	size := int64(1) << bits
	if vector && opc&2 != 0 {
		size = 16
	}
	off := signed(w>>12&0x1ff, 9)
	switch {
	case w>>24&1 == 1: // an unsigned offset
		off = int64(w>>10&0xfff) * size
	case w>>21&1 == 1: // a register's offset, or an atomic operation
		s.forget |= 1<<rt | 1<<(w>>16&31)
		s.lose = base == stack && (!isLoad || w>>10&3 != 2)
		return
	case w>>10&3 == 1:
		s.indexed(base)
		off = 0
	case w>>10&3 == 3:
		s.indexed(base)
	}
	switch whole := bits == 3 && !vector; {
	case isLoad && vector:
	case isLoad && whole && opc == 1:
		s.moves[0] = move{op: load, reg: rt, base: base, off: off}
	case isLoad:
		s.forget |= 1 << rt
	case whole:
		s.moves[0] = move{op: store, reg: rt, base: base, off: off}
	default:
		s.moves[0] = move{op: spoil, base: base, off: off, spoilage: size}
	}
}

// indexed says that the base changes.
func (s *step) indexed(base int) {
	if base == stack {
		s.lose = true
		return
	}
	s.forget |= 1 << base
}

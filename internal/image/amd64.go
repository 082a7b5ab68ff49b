package image

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/arch/x86/x86asm"
)

// Register numbers of amd64 that matter here.
const (
	ax, cx, dx, bx, sp, si, di, r11 = 0, 1, 2, 3, 4, 6, 7, 11
)

func amd64() *machine {
	return &machine{
		decode: decodeAMD64, eachLoad: eachLoadAMD64, padding: 0xcc,
		first: ax, second: bx, barrier: mask(r11), duff: mask(si, di),
	}
}

func mask(regs ...int) (m uint64) {
	for _, r := range regs {
		m |= 1 << r
	}
	return m
}

// eachLoadAMD64 calls f for all that looks like LEAQ x(IP), reg. Some may be the middle of another
// instruction; tracking tells.
func eachLoadAMD64(b []byte, pc uintptr, f func(at, loaded uintptr)) {
	const lea, size = 0x8d, 7
	for i := 1; i < len(b); i++ {
		n := bytes.IndexByte(b[i:], lea)
		if i += n; n < 0 || i+size-1 > len(b) {
			return
		}
		if rex, modrm := b[i-1], b[i+1]; rex&^0x04 == 0x48 && modrm&0xc7 == 0x05 {
			start := pc + uintptr(i-1)
			disp := int32(binary.LittleEndian.Uint32(b[i+2:]))
			f(start, start+size+uintptr(disp))
		}
	}
}

// decodeAMD64 decodes the instruction at the start of b.
func decodeAMD64(b []byte, pc uintptr) (step, bool) {
	if b[0] == 0xc4 || b[0] == 0xc5 {
		return decodeVEX(b, pc)
	}
	inst, err := x86asm.Decode(b, 64)
	if err != nil {
		return step{}, false
	}
	s := step{pc: pc, next: pc + uintptr(inst.Len)}
	s.flow, s.target = flowAMD64(inst, s.next)
	switch inst.Op {
	case x86asm.LEA:
		s.moves[0] = addressAMD64(inst, s.next)
	case x86asm.MOV:
		s.moves[0] = moveAMD64(inst)
	case x86asm.CALL, x86asm.JMP, x86asm.RET, x86asm.UD2, x86asm.INT, x86asm.CMP, x86asm.TEST, x86asm.NOP, x86asm.BT:
	default:
		s.other(inst)
	}
	return s, true
}

// flowAMD64 says where an instruction leads.
func flowAMD64(inst x86asm.Inst, next uintptr) (f flow, target uintptr) {
	if rel, ok := inst.Args[0].(x86asm.Rel); ok {
		f, target = mayJump, next+uintptr(int64(rel))
	}
	switch inst.Op {
	case x86asm.CALL:
		f = calls
	case x86asm.JMP:
		f = jumps
	case x86asm.RET, x86asm.UD2, x86asm.INT:
		f = doesNotGo
	}
	return f, target
}

// decodeVEX finds the length of an instruction with a VEX prefix (AVX, BMI, FMA) and the general registers that
// it may change.
func decodeVEX(b []byte, pc uintptr) (step, bool) {
	if len(b) < 6 {
		return step{}, false
	}
	n, table, ext, third := 2, byte(1), b[1]&0x80 == 0, int(^b[1]>>3&0xf)
	if b[0] == 0xc4 {
		n, table, third = 3, b[1]&0x1f, int(^b[2]>>3&0xf)
	}
	op, modrm := b[n], b[n+1]
	if n += 2; table == 1 && op == 0x77 { // VZEROUPPER has no operands
		return step{pc: pc, next: pc + uintptr(n-1)}, true
	}
	n += operandLength(b[n:], modrm)
	if table == 3 || table == 1 && (op >= 0x70 && op <= 0x73 || op == 0xc2 || op >= 0xc4 && op <= 0xc6) {
		n++
	}
	reg := int(modrm >> 3 & 7)
	if ext {
		reg += 8
	}
	s := step{pc: pc, next: pc + uintptr(n), lose: modrm>>6 != 3 && modrm&7 == sp}
	s.forget = mask(reg, third, int(modrm&7), int(modrm&7)+8)
	return s, n <= len(b)
}

// operandLength is the length of what follows a ModRM byte.
func operandLength(rest []byte, modrm byte) int {
	mod, rm, n := modrm>>6, modrm&7, 0
	if mod == 3 {
		return 0
	}
	if rm == 4 {
		if n++; len(rest) > 0 && mod == 0 && rest[0]&7 == 5 {
			return n + 4
		}
	}
	switch {
	case mod == 1:
		n++
	case mod == 2, mod == 0 && rm == 5:
		n += 4
	}
	return n
}

// other forgets what an instruction with no meaning here may change.
func (s *step) other(inst x86asm.Inst) {
	switch inst.Op {
	case x86asm.MUL, x86asm.IMUL, x86asm.DIV, x86asm.IDIV, x86asm.CQO, x86asm.CDQ, x86asm.CWD, x86asm.CPUID, x86asm.RDTSC,
		x86asm.CMPXCHG, x86asm.CMPXCHG16B, x86asm.XGETBV:
		s.forget |= mask(ax, bx, cx, dx)
	case x86asm.MOVSB, x86asm.MOVSW, x86asm.MOVSD, x86asm.MOVSQ, x86asm.STOSB, x86asm.STOSW, x86asm.STOSD, x86asm.STOSQ:
		s.forget |= mask(cx, si, di)
	case x86asm.PUSH, x86asm.POP, x86asm.LEAVE:
		s.lose = true // the stack pointer moves
	}
	for i, a := range inst.Args {
		if r, ok := a.(x86asm.Reg); ok && (i == 0 || inst.Op == x86asm.XCHG || inst.Op == x86asm.XADD) {
			switch n := number(r); {
			case n == stack:
				s.lose = true
			case n >= 0:
				s.forget |= mask(n)
			}
		}
	}
	if m, ok := inst.Args[0].(x86asm.Mem); ok {
		s.spoil(m)
	}
}

// spoil forgets the stack slots that a write of unknown width touches.
func (s *step) spoil(m x86asm.Mem) {
	if m.Base == x86asm.RSP && m.Index != 0 {
		s.lose = true
		return
	}
	s.moves[0] = spoilAMD64(m)
}

func spoilAMD64(m x86asm.Mem) move {
	if m.Base != x86asm.RSP {
		return move{}
	}
	return move{op: spoil, base: stack, off: m.Disp, spoilage: 64}
}

// addressAMD64 follows LEA.
func addressAMD64(inst x86asm.Inst, next uintptr) move {
	dst, _ := inst.Args[0].(x86asm.Reg)
	m, _ := inst.Args[1].(x86asm.Mem)
	n := number(dst)
	if m.Base != x86asm.RIP || n < 0 {
		return unknownIn(n)
	}
	// The decoder leaves a negative displacement unsigned.
	return move{op: setAddr, reg: n, addr: next + uintptr(int64(int32(m.Disp)))}
}

// unknownIn changes a general register to what is not known.
func unknownIn(n int) move {
	if n < 0 {
		return move{}
	}
	return move{op: copyReg, reg: n, base: stack}
}

// moveAMD64 follows a MOV between registers and memory.
func moveAMD64(inst x86asm.Inst) move {
	whole := inst.MemBytes == 8 || inst.DataSize == 64
	if m, ok := inst.Args[0].(x86asm.Mem); ok {
		r, isReg := inst.Args[1].(x86asm.Reg)
		base := number(m.Base)
		switch {
		case m.Base == x86asm.RSP && m.Index != 0:
			return move{op: spoil, base: stack, off: -1 << 40, spoilage: 1 << 41}
		case whole && isReg && number(r) >= 0 && base >= 0 && m.Index == 0:
			return move{op: store, reg: number(r), base: base, off: m.Disp}
		default:
			return spoilAMD64(m)
		}
	}
	dst, isReg := inst.Args[0].(x86asm.Reg)
	n := number(dst)
	if !isReg || n < 0 {
		return move{}
	}
	switch a := inst.Args[1].(type) {
	case x86asm.Reg:
		if from := number(a); whole && from >= 0 {
			return move{op: copyReg, reg: n, base: from}
		}
	case x86asm.Mem:
		if whole && a.Base == x86asm.RSP && a.Index == 0 {
			return move{op: load, reg: n, base: stack, off: a.Disp}
		}
	}
	return unknownIn(n)
}

// number returns the number of the general register that r is a part of, or -1.
func number(r x86asm.Reg) int {
	n := -1
	switch {
	case r >= x86asm.RAX && r <= x86asm.R15:
		n = int(r - x86asm.RAX)
	case r >= x86asm.EAX && r <= x86asm.R15L:
		n = int(r - x86asm.EAX)
	case r >= x86asm.AX && r <= x86asm.R15W:
		n = int(r - x86asm.AX)
	case r >= x86asm.SPB && r <= x86asm.R15B:
		n = int(r-x86asm.SPB) + sp
	case r >= x86asm.AL && r <= x86asm.BL:
		n = int(r - x86asm.AL)
	case r >= x86asm.AH && r <= x86asm.BH:
		n = int(r - x86asm.AH)
	}
	if n == sp {
		return stack
	}
	return n
}

package image

import (
	"runtime"
	"strings"

	"golang.org/x/arch/x86/x86asm"
)

// binding says that a closure whose code begins at code was made as desc describes.
type binding struct{ code, desc uintptr }

// value is what is known of a register or a stack slot.
type value struct {
	kind valueKind
	addr uintptr // of static memory, or of the descriptor of the object
}

type valueKind uint8

const (
	unknown valueKind = iota
	static            // the address addr
	object            // the object that the allocator returned for the descriptor at addr
)

// state is what is known at one instruction.
type state struct {
	regs  [16]value
	slots map[int64]value // by offset from the stack pointer
}

func (s *state) forget() { *s = state{slots: make(map[int64]value)} }

func (s *state) clone() *state {
	c := &state{regs: s.regs, slots: make(map[int64]value, len(s.slots))}
	for k, v := range s.slots {
		c.slots[k] = v
	}
	return c
}

// meet keeps what both know and says whether that is less.
func (s *state) meet(o *state) (less bool) {
	for i := range s.regs {
		if s.regs[i] != o.regs[i] && s.regs[i].kind != unknown {
			s.regs[i] = value{}
			less = true
		}
	}
	for k, v := range s.slots {
		if o.slots[k] != v {
			delete(s.slots, k)
			less = true
		}
	}
	return less
}

// Register numbers that matter here.
const (
	ax, cx, dx, bx, sp, si, di, r11 = 0, 1, 2, 3, 4, 6, 7, 11
)

// tracker follows the registers through one function, along all its jumps, until nothing changes any more.
type tracker struct {
	im       *Image
	now      state
	dead     bool               // this instruction has not been seen to be reached
	tables   bool               // the function jumps through tables, so anything may be reached
	incoming map[uintptr]*state // what is known where jumps arrive
	changed  bool               // less is known somewhere than before
	found    []binding
}

// step is one decoded instruction.
type step struct {
	pc   uintptr
	next uintptr
	inst x86asm.Inst
	vex  []int // registers that an instruction may change which the decoder does not know
	vexM bool  // such an instruction may write to the stack
}

// maxFunction bounds how much of a function is read.
const maxFunction = 4 << 20

// track returns the closures that the function at entry makes.
func (im *Image) track(entry uintptr) []binding {
	steps, ok := im.decode(entry)
	if !ok {
		return nil // what was not read may jump into what was
	}
	return im.follow(steps)
}

// follow returns the closures that a function of these instructions makes.
func (im *Image) follow(steps []step) []binding {
	t := &tracker{im: im, incoming: make(map[uintptr]*state)}
	for _, s := range steps {
		if _, direct := jumpTarget(s); s.inst.Op == x86asm.JMP && !direct {
			t.tables = true
		}
	}
	for t.changed = true; t.changed; {
		t.changed, t.found, t.dead = false, nil, false
		t.now.forget()
		for _, s := range steps {
			if t.arrive(s.pc); !t.dead {
				t.do(s)
			}
		}
	}
	return t.found
}

// decode decodes the function at entry to its end. It is all or nothing.
func (im *Image) decode(entry uintptr) (steps []step, ok bool) {
	text := im.textOf(entry)
	if entry == 0 || text.region != Text {
		return nil, false
	}
	b := code(span{start: entry, end: min(text.end, entry+maxFunction)})
	for i := 0; i < len(b); {
		pc := entry + uintptr(i)
		if b[i] == 0xcc || pc&0xf == 0 { // padding, or where the next function may begin
			if f := runtime.FuncForPC(pc); f == nil || f.Entry() != entry {
				break
			}
		}
		s, n := decodeOne(b[i:])
		if n == 0 {
			return nil, false
		}
		s.pc, s.next = pc, pc+uintptr(n)
		steps = append(steps, s)
		i += n
	}
	return steps, len(b) < maxFunction || steps[len(steps)-1].next < entry+maxFunction
}

// decodeOne decodes the instruction at the start of b and returns its length; 0 if it cannot.
func decodeOne(b []byte) (step, int) {
	if b[0] == 0xc4 || b[0] == 0xc5 {
		return decodeVEX(b)
	}
	inst, err := x86asm.Decode(b, 64)
	if err != nil {
		return step{}, 0
	}
	return step{inst: inst}, inst.Len
}

// decodeVEX finds the length of an instruction with a VEX prefix (AVX, BMI, FMA) and the general registers that
// it may change.
func decodeVEX(b []byte) (step, int) {
	if len(b) < 6 {
		return step{}, 0
	}
	n, table, ext, third := 2, byte(1), b[1]&0x80 == 0, int(^b[1]>>3&0xf)
	if b[0] == 0xc4 {
		n, table, third = 3, b[1]&0x1f, int(^b[2]>>3&0xf)
	}
	op, modrm := b[n], b[n+1]
	if n += 2; table == 1 && op == 0x77 { // VZEROUPPER has no operands
		return step{vex: []int{}}, n - 1
	}
	n += operandLength(b[n:], modrm)
	if table == 3 || table == 1 && (op >= 0x70 && op <= 0x73 || op == 0xc2 || op >= 0xc4 && op <= 0xc6) {
		n++
	}
	reg := int(modrm >> 3 & 7)
	if ext {
		reg += 8
	}
	if n > len(b) {
		return step{}, 0
	}
	stack := modrm>>6 != 3 && modrm&7 == sp
	return step{vex: []int{reg, third, int(modrm & 7), int(modrm&7) + 8}, vexM: stack}, n
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

// jumpTarget returns where a direct jump goes.
func jumpTarget(s step) (uintptr, bool) {
	if s.inst.Op == x86asm.CALL {
		return 0, false
	}
	rel, ok := s.inst.Args[0].(x86asm.Rel)
	return s.next + uintptr(int64(rel)), ok
}

// arrive meets what is known of the jumps that arrive here.
func (t *tracker) arrive(pc uintptr) {
	from := t.incoming[pc]
	switch {
	case from == nil && t.dead && t.tables:
		t.now.forget()
		t.dead = false
	case from == nil:
	case t.dead:
		t.now = *from.clone()
		t.dead = false
	default:
		t.now.meet(from)
	}
}

// do follows one instruction.
func (t *tracker) do(s step) {
	if s.vex != nil {
		t.clear(s.vex...)
		if s.vexM {
			clear(t.now.slots)
		}
		return
	}
	if to, ok := jumpTarget(s); ok {
		t.jump(to)
	}
	args := s.inst.Args
	switch s.inst.Op {
	case x86asm.LEA:
		t.set(args[0], t.address(s, args[1]))
	case x86asm.MOV:
		t.move(s, args[0], args[1])
	case x86asm.CALL:
		t.call(s)
	case x86asm.JMP, x86asm.RET, x86asm.UD2, x86asm.INT:
		t.dead = true // what follows is reached by jumps only
	case x86asm.CMP, x86asm.TEST, x86asm.NOP, x86asm.BT:
	default:
		t.other(s)
	}
}

// jump remembers what is known here for where the jump arrives.
func (t *tracker) jump(to uintptr) {
	at := t.incoming[to]
	if at == nil {
		t.incoming[to] = t.now.clone()
		t.changed = true
		return
	}
	if at.meet(&t.now) {
		t.changed = true
	}
}

// other forgets what an instruction with no meaning here may change.
func (t *tracker) other(s step) {
	switch s.inst.Op {
	case x86asm.MUL, x86asm.IMUL, x86asm.DIV, x86asm.IDIV, x86asm.CQO, x86asm.CDQ, x86asm.CWD, x86asm.CPUID, x86asm.RDTSC,
		x86asm.CMPXCHG, x86asm.CMPXCHG16B, x86asm.XGETBV:
		t.clear(ax, bx, cx, dx)
	case x86asm.MOVSB, x86asm.MOVSW, x86asm.MOVSD, x86asm.MOVSQ, x86asm.STOSB, x86asm.STOSW, x86asm.STOSD, x86asm.STOSQ:
		t.clear(cx, si, di)
	case x86asm.PUSH, x86asm.POP, x86asm.LEAVE:
		clear(t.now.slots) // the stack pointer moves
	}
	for i, a := range s.inst.Args {
		if r, ok := a.(x86asm.Reg); ok && (i == 0 || s.inst.Op == x86asm.XCHG || s.inst.Op == x86asm.XADD) {
			if n := number(r); n == sp {
				clear(t.now.slots)
			} else if n >= 0 {
				t.now.regs[n] = value{}
			}
		}
	}
	if m, ok := s.inst.Args[0].(x86asm.Mem); ok {
		t.spoil(m)
	}
}

func (t *tracker) clear(regs ...int) {
	for _, r := range regs {
		t.now.regs[r] = value{}
	}
}

// spoil forgets the stack slot that a write of unknown width touches.
func (t *tracker) spoil(m x86asm.Mem) {
	if m.Base != x86asm.RSP {
		return
	}
	if m.Index != 0 {
		clear(t.now.slots)
		return
	}
	for off := m.Disp - 7; off < m.Disp+64; off++ {
		delete(t.now.slots, off)
	}
}

func (t *tracker) set(dst x86asm.Arg, v value) {
	if r, ok := dst.(x86asm.Reg); ok {
		if n := number(r); n == sp {
			clear(t.now.slots)
		} else if n >= 0 {
			t.now.regs[n] = v
		}
	}
}

// address is the value of LEA's source.
func (t *tracker) address(s step, src x86asm.Arg) value {
	m, ok := src.(x86asm.Mem)
	if !ok || m.Base != x86asm.RIP {
		return value{}
	}
	// The decoder leaves a negative displacement unsigned.
	return value{static, s.next + uintptr(int64(int32(m.Disp)))}
}

// move follows a MOV between registers and memory.
func (t *tracker) move(s step, dst, src x86asm.Arg) {
	whole := s.inst.MemBytes == 8 || s.inst.DataSize == 64
	if m, ok := dst.(x86asm.Mem); ok {
		r, isReg := src.(x86asm.Reg)
		if whole && isReg && number(r) >= 0 {
			t.store(m, t.now.regs[number(r)])
		} else {
			t.spoil(m)
		}
		return
	}
	v := value{}
	switch a := src.(type) {
	case x86asm.Reg:
		if n := number(a); whole && n >= 0 {
			v = t.now.regs[n]
		}
	case x86asm.Mem:
		if whole && a.Base == x86asm.RSP && a.Index == 0 {
			v = t.now.slots[a.Disp]
		}
	}
	t.set(dst, v)
}

// store follows a store of a whole word.
func (t *tracker) store(m x86asm.Mem, v value) {
	if m.Base == x86asm.RSP {
		t.spoil(m)
		if m.Index == 0 && v.kind != unknown {
			t.now.slots[m.Disp] = v
		}
		return
	}
	base := number(m.Base)
	if base < 0 || m.Index != 0 || m.Disp != 0 || t.now.regs[base].kind != object || v.kind != static {
		return
	}
	if _, r := t.im.Locate(v.addr); r == Text {
		t.found = append(t.found, binding{code: v.addr, desc: t.now.regs[base].addr})
	}
}

// call follows a call. Go's calls change all registers; a few helpers of the runtime keep most.
func (t *tracker) call(s step) {
	rel, direct := s.inst.Args[0].(x86asm.Rel)
	name := ""
	if direct {
		if f := runtime.FuncForPC(s.next + uintptr(int64(rel))); f != nil {
			name = f.Name()
		}
	}
	switch {
	case strings.HasPrefix(name, "runtime.gcWriteBarrier"):
		t.clear(r11)
		return
	case name == "runtime.duffzero", name == "runtime.duffcopy":
		t.clear(si, di)
		return
	}
	made := value{}
	switch arg := t.now.regs; {
	case name == "runtime.newobject" && t.im.isClosureAt(arg[ax]):
		made = value{object, arg[ax].addr}
	case strings.HasPrefix(name, "runtime.mallocgc") && t.im.isClosureAt(arg[bx]):
		made = value{object, arg[bx].addr}
	}
	t.now.regs = [16]value{}
	t.now.regs[ax] = made
}

func (im *Image) isClosureAt(v value) bool {
	return v.kind == static && im.closureDescriptor(v.addr)
}

// number returns the number of the general register that r is a part of, or -1.
func number(r x86asm.Reg) int {
	switch {
	case r >= x86asm.RAX && r <= x86asm.R15:
		return int(r - x86asm.RAX)
	case r >= x86asm.EAX && r <= x86asm.R15L:
		return int(r - x86asm.EAX)
	case r >= x86asm.AX && r <= x86asm.R15W:
		return int(r - x86asm.AX)
	case r >= x86asm.SPB && r <= x86asm.R15B:
		return int(r-x86asm.SPB) + sp
	case r >= x86asm.AL && r <= x86asm.BL:
		return int(r - x86asm.AL)
	case r >= x86asm.AH && r <= x86asm.BH:
		return int(r - x86asm.AH)
	default:
		return -1
	}
}

package image

import "strings"

// binding says that a closure whose code begins at code was made as desc describes.
type binding struct{ code, desc uintptr }

// site is an allocation that took the descriptor of a closure.
type site struct{ pc, desc uintptr }

// program is the executable whose code is followed: this one as it is loaded, or another one as its file has it.
type program interface {
	machine() *machine
	// region says what kind of memory an address is in.
	region(addr uintptr) Region
	// read returns static memory that never changes, or nil if it is not all there.
	read(addr, n uintptr) []byte
	// text returns the code that an address lies in.
	text(addr uintptr) span
	// function returns the entry and the name of the function that an address lies in, or 0.
	function(pc uintptr) (entry uintptr, name string)
}

// machine is an architecture.
type machine struct {
	decode   func(b []byte, pc uintptr) (step, bool)
	eachLoad func(b []byte, pc uintptr, f func(at, loaded uintptr))
	padding  byte // between functions

	first, second int    // registers of the first two arguments; a result is in the first, too
	barrier, duff uint64 // registers that write barriers and the helpers which fill memory change
}

// A machine has at most 32 registers. The stack pointer has a number of its own.
const (
	registers = 32
	stack     = registers
	wordSize  = 8
)

// value is what is known of a register or a stack slot.
type value struct {
	kind valueKind
	addr uintptr // of static memory, or of the descriptor of the object
	site uintptr // where the object was allocated
}

type valueKind uint8

const (
	unknown valueKind = iota
	page              // the 4 KiB page at addr
	static            // the address addr
	object            // the object that the allocator returned for the descriptor at addr
)

// step is one instruction, told in what it does to what is known.
type step struct {
	pc, next uintptr
	flow     flow
	target   uintptr // of a direct jump or call; 0 otherwise
	moves    [2]move // first these, in order
	forget   uint64  // then these registers change to what is not known,
	lose     bool    // and all stack slots may have
}

type flow uint8

const (
	goesOn    flow = iota
	mayJump        // to target or on
	jumps          // to target; through a table if that is 0
	calls          // target, and comes back
	doesNotGo      // returns or traps
)

// move is one flow of data.
type move struct {
	op       moveOp
	reg      int // what is read or written
	base     int // register of an address
	off      int64
	addr     uintptr
	spoilage int64 // how many bytes a write may be wide
}

type moveOp uint8

const (
	nothing moveOp = iota
	setPage        // reg = the page at addr
	setAddr        // reg = addr
	addPage        // reg = base + off if base is a page
	copyReg        // reg = base
	load           // reg = the word at base + off
	store          // the word at base + off = reg
	spoil          // spoilage bytes at base + off change
)

// state is what is known at one instruction. Stack slots keep what the function stored there over calls: the slots
// in which the compiler keeps the pointer to a new object until its fields are set have no address that code
// could take, so nobody but the function itself writes to them. (A variable whose address is taken may change in a call,
// but a store of the entry PC of a closure is never made through a variable: only the compiler writes such
// stores, right into the object that it has just allocated.)
type state struct {
	regs  [registers]value
	slots map[int64]value // by offset from the stack pointer
}

func (s *state) reset() { *s = state{slots: make(map[int64]value)} }

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

// makers is what tracking a function tells.
type makers struct {
	bound []binding
	sites map[site]bool // whether the closure made there was bound
	read  bool          // the function was understood from its entry to its end
}

// tracker follows the registers through one function, along all its jumps, until nothing changes any more.
type tracker struct {
	prog     program
	mach     *machine
	now      state
	dead     bool               // this instruction has not been seen to be reached
	tables   bool               // the function jumps through tables, so anything may be reached
	incoming map[uintptr]*state // what is known where jumps arrive
	changed  bool               // less is known somewhere than before
	made     makers
}

// maxFunction bounds how much of a function is read.
const maxFunction = 4 << 20

// track returns the closures that the function at entry makes.
func track(p program, entry uintptr) makers {
	steps, ok := decode(p, entry)
	if !ok {
		return makers{} // what was not read may jump into what was
	}
	return follow(p, steps)
}

// follow returns the closures that a function of these instructions makes.
func follow(p program, steps []step) makers {
	t := &tracker{prog: p, mach: p.machine(), incoming: make(map[uintptr]*state)}
	for _, s := range steps {
		if s.flow == jumps && s.target == 0 {
			t.tables = true
		}
	}
	for t.changed = true; t.changed; {
		t.changed, t.made, t.dead = false, makers{sites: make(map[site]bool), read: true}, false
		t.now.reset()
		for i := range steps {
			if t.arrive(steps[i].pc); !t.dead {
				t.do(&steps[i])
			}
		}
	}
	return t.made
}

// decode decodes the function at entry to its end. It is all or nothing.
func decode(p program, entry uintptr) (steps []step, ok bool) {
	text, m := p.text(entry), p.machine()
	if entry == 0 || text.region != Text {
		return nil, false
	}
	b := p.read(entry, min(text.end-entry, maxFunction))
	for i := 0; i < len(b); {
		pc := entry + uintptr(i)
		if b[i] == m.padding || pc&0xf == 0 { // where the next function may begin
			if e, _ := p.function(pc); e != entry {
				return steps, len(steps) > 0
			}
		}
		s, ok := m.decode(b[i:], pc)
		if !ok {
			return nil, false
		}
		steps = append(steps, s)
		i += int(s.next - pc)
	}
	return steps, len(b) < maxFunction
}

// arrive meets what is known of the jumps that arrive here.
func (t *tracker) arrive(pc uintptr) {
	from := t.incoming[pc]
	switch {
	case from == nil && t.dead && t.tables:
		t.now.reset()
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
func (t *tracker) do(s *step) {
	for i := range s.moves {
		t.move(&s.moves[i])
	}
	for r := 0; s.forget>>r != 0; r++ {
		if s.forget>>r&1 != 0 {
			t.now.regs[r] = value{}
		}
	}
	if s.lose {
		clear(t.now.slots)
	}
	switch s.flow {
	case mayJump:
		t.jump(s.target)
	case jumps:
		if s.target != 0 {
			t.jump(s.target)
		}
		t.dead = true // what follows is reached by jumps only
	case calls:
		t.call(s)
	case doesNotGo:
		t.dead = true
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

func (t *tracker) move(m *move) {
	switch m.op {
	case setPage:
		t.set(m.reg, value{kind: page, addr: m.addr})
	case setAddr:
		t.set(m.reg, value{kind: static, addr: m.addr})
	case addPage:
		v := value{}
		if m.base != stack && t.now.regs[m.base].kind == page {
			v = value{kind: static, addr: t.now.regs[m.base].addr + uintptr(m.off)}
		}
		t.set(m.reg, v)
	case copyReg:
		v := value{}
		if m.base != stack {
			v = t.now.regs[m.base]
		}
		t.set(m.reg, v)
	case load:
		v := value{}
		if m.base == stack {
			v = t.now.slots[m.off]
		}
		t.set(m.reg, v)
	case store:
		t.store(m)
	case spoil:
		t.spoil(m)
	}
}

// set gives a register a value. Where the stack pointer changes, the slots have other offsets.
func (t *tracker) set(reg int, v value) {
	if reg == stack {
		clear(t.now.slots)
		return
	}
	t.now.regs[reg] = v
}

// spoil forgets the stack slots that a write touches.
func (t *tracker) spoil(m *move) {
	if m.base != stack {
		return
	}
	for off := range t.now.slots {
		if off > m.off-wordSize && off < m.off+m.spoilage {
			delete(t.now.slots, off)
		}
	}
}

// store follows a store of a whole word.
func (t *tracker) store(m *move) {
	v := value{}
	if m.reg != stack {
		v = t.now.regs[m.reg]
	}
	if m.base == stack {
		t.spoil(&move{base: stack, off: m.off, spoilage: wordSize})
		if v.kind != unknown {
			t.now.slots[m.off] = v
		}
		return
	}
	to := t.now.regs[m.base]
	if m.off != 0 || to.kind != object || v.kind != static || t.prog.region(v.addr) != Text {
		return
	}
	t.made.bound = append(t.made.bound, binding{code: v.addr, desc: to.addr})
	t.made.sites[site{to.site, to.addr}] = true
}

// call follows a call. Go's calls change all registers; a few helpers of the runtime keep most.
func (t *tracker) call(s *step) {
	name := ""
	if s.target != 0 {
		_, name = t.prog.function(s.target)
	}
	switch {
	case strings.HasPrefix(name, "runtime.gcWriteBarrier"):
		t.clobber(t.mach.barrier)
		return
	case name == "runtime.duffzero", name == "runtime.duffcopy":
		t.clobber(t.mach.duff)
		return
	}
	made := value{}
	switch arg := &t.now.regs; {
	case name == "runtime.newobject" && isClosureAt(t.prog, arg[t.mach.first]):
		made = value{object, arg[t.mach.first].addr, s.pc}
	case strings.HasPrefix(name, "runtime.mallocgc") && isClosureAt(t.prog, arg[t.mach.second]):
		made = value{object, arg[t.mach.second].addr, s.pc}
	}
	t.now.regs = [registers]value{}
	t.now.regs[t.mach.first] = made
	if at := (site{made.site, made.addr}); made.kind == object && !t.made.sites[at] {
		t.made.sites[at] = false
	}
}

func (t *tracker) clobber(regs uint64) { t.do(&step{forget: regs}) }

package image

import (
	"encoding/binary"
	"encoding/hex"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// assembly is a function in the making: machine code that would begin at pc.
type assembly struct {
	t     *testing.T
	mach  *machine
	pc    uintptr
	steps []step
}

func (a *assembly) emit(b ...byte) {
	a.t.Helper()
	s, ok := a.mach.decode(append(b, make([]byte, 16)...), a.pc)
	if !ok || s.next != a.pc+uintptr(len(b)) {
		a.t.Fatalf("% x: decoded %+v", b, s)
	}
	a.pc = s.next
	a.steps = append(a.steps, s)
}

// dialect is how an architecture writes what closures are made of, and what gets in the way.
type dialect struct {
	mach  *machine
	words map[string]string // instructions, in hexadecimal
	load  func(a *assembly, register string, target uintptr)
}

var dialects = map[string]dialect{
	"amd64": {amd64(), map[string]string{
		"spill":     "4889442410",   // MOVQ AX, 16(SP)
		"reload":    "488b442410",   // MOVQ 16(SP), AX
		"store":     "488908",       // MOVQ CX, (AX)
		"storeNext": "48894808",     // MOVQ CX, 8(AX)
		"storeHalf": "8908",         // MOVL CX, (AX)
		"lose":      "4889d8",       // MOVQ BX, AX
		"toStack":   "488d442408",   // LEAQ 8(SP), AX
		"overwrite": "c5fa7f442410", // VMOVDQU X0, 16(SP)
		"half":      "c744241400000000",
		"skipLose":  "7403",     // JEQ over the next, if that is lose
		"skip5":     "7405",     // JEQ over reload
		"skip10":    "740a",     // JEQ over lose, skip5 and reload
		"increment": "4883c008", // ADDQ $8, AX
		"push":      "50",       // PUSHQ AX
		"return":    "c3",
	}, loadAMD64},
	"arm64": {arm64(), map[string]string{
		"spill":     "e00b00f9", // MOVD R0, 16(RSP)
		"reload":    "e00b40f9", // MOVD 16(RSP), R0
		"store":     "020000f9", // MOVD R2, (R0)
		"storeNext": "020400f9", // MOVD R2, 8(R0)
		"storeHalf": "020000b9", // MOVW R2, (R0)
		"storePair": "020c00a9", // STP (R2, R3), (R0)
		"lose":      "e00301aa", // MOVD R1, R0
		"toStack":   "e0230091", // ADD $8, RSP, R0
		"overwrite": "e007803d", // FMOVQ F0, 16(RSP)
		"half":      "ff1700b9", // MOVW ZR, 20(RSP)
		"skipLose":  "40000054", // BEQ over the next
		"skip5":     "40000054", // the same
		"skip10":    "80000054", // BEQ over three
		"increment": "00200091", // ADD $8, R0
		"push":      "e00f1ff8", // MOVD.W R0, -16(RSP)
		"return":    "c0035fd6",
	}, loadARM64},
}

// loadAMD64 emits LEAQ target(SB), reg or CALL target.
func loadAMD64(a *assembly, register string, target uintptr) {
	op := map[string][]byte{"AX": {0x48, 0x8d, 0x05}, "CX": {0x48, 0x8d, 0x0d}, "BX": {0x48, 0x8d, 0x1d}, "CALL": {0xe8}}[register]
	dist := int32(int64(target) - int64(a.pc) - int64(len(op)) - 4)
	a.emit(binary.LittleEndian.AppendUint32(op, uint32(dist))...)
}

// loadARM64 emits ADRP and ADD, or BL.
func loadARM64(a *assembly, register string, target uintptr) {
	word := func(w uint32) { a.emit(binary.LittleEndian.AppendUint32(nil, w)...) }
	if register == "CALL" {
		word(0x94000000 | uint32(int64(target-a.pc)/4)&(1<<26-1))
		return
	}
	reg := map[string]uint32{"AX": 0, "BX": 1, "CX": 2}[register]
	pages := uint32(int64(target>>12) - int64(a.pc>>12))
	word(0x90000000 | pages&3<<29 | pages>>2&(1<<19-1)<<5 | reg)
	word(0x91000000 | uint32(target&0xfff)<<10 | reg<<5 | reg)
}

// write emits a flow: names of instructions, and loads followed by the name of an address.
func (a *assembly) write(d dialect, flow string, addresses map[string]uintptr) {
	for word := range strings.FieldsSeq(flow) {
		if register, name, ok := strings.Cut(word, "="); ok {
			d.load(a, register, addresses[name])
			continue
		}
		b, err := hex.DecodeString(d.words[word])
		if err != nil || len(b) == 0 {
			a.t.Fatal("there is no instruction ", word)
		}
		a.emit(b...)
	}
}

// onMachine is this program as if it were one of another architecture.
type onMachine struct {
	*Image
	mach *machine
}

func (o onMachine) machine() *machine { return o.mach }

// functionNamed returns the entry of a function of this program.
func functionNamed(t *testing.T, im *Image, name string) uintptr {
	t.Helper()
	for _, s := range im.ranges {
		for pc := s.start; s.region == Text && pc < s.end; pc += 16 {
			if f := runtime.FuncForPC(pc); f != nil && f.Name() == name {
				return f.Entry()
			}
		}
	}
	t.Fatal("there is no function ", name)
	return 0
}

// flows says of flows of registers whether they show that a closure was made.
var flows = []struct {
	name, flow string
	bound      bool
}{
	{"as the compiler does", "AX=closure CALL=newobject CX=code store", true},
	{"code first", "AX=closure CALL=newobject CX=code spill reload store", true},
	{"spilled over a call", "AX=closure CALL=newobject spill CALL=other reload CX=code store", true},
	{"a write barrier between", "AX=closure CALL=newobject CX=code CALL=barrier store", true},
	{"mallocgc", "BX=closure CALL=mallocgc CX=code store", true},
	{"the way round a jump", "AX=closure CALL=newobject skipLose lose AX=closure CALL=newobject CX=code store", true},
	{"lost on one way", "AX=closure CALL=newobject CX=code skipLose lose store", false},
	{"lost where a jump comes from", "AX=closure CALL=newobject spill CX=code lose skip5 reload store", false},
	{"lost where one of two jumps comes from", "AX=closure CALL=newobject spill CX=code skip10 lose skip5 reload store", false},
	{"lost in a call", "AX=closure CALL=newobject CALL=other CX=code store", false},
	{"code lost in a call", "AX=closure CALL=newobject spill CX=code CALL=other reload store", false},
	{"another register", "AX=closure CALL=newobject lose CX=code store", false},
	{"another offset", "AX=closure CALL=newobject CX=code storeNext", false},
	{"half a word", "AX=closure CALL=newobject CX=code storeHalf", false},
	{"another place in it", "AX=closure CALL=newobject increment CX=code store", false},
	{"on the stack", "AX=closure CALL=newobject toStack CX=code store", false},
	{"no allocation", "AX=closure CALL=other CX=code store", false},
	{"stored into the descriptor", "AX=closure CX=code store", false},
	{"not the descriptor of a closure", "AX=point CALL=newobject CX=code store", false},
	{"a spill that is written over", "AX=closure CALL=newobject spill overwrite reload CX=code store", false},
	{"a spill half written over", "AX=closure CALL=newobject spill half reload CX=code store", false},
	{"the stack pointer moves", "AX=closure CALL=newobject spill CX=code push reload store", false},
	{"code that is never reached", "AX=closure CALL=newobject return CX=code store", false},
	{"data instead of code", "AX=closure CALL=newobject CX=closure store", false},
}

// Only the whole flow counts: descriptor, allocator, and the entry PC at offset 0 of what it returned.
func TestOnlyTheFlowOfRegistersBinds(t *testing.T) {
	im := mustSelf(t)
	n := 1
	c, err := im.Closure(escape(func() int { return n }))
	if err != nil {
		t.Fatal(err)
	}
	want := binding{code: uintptr(im.Pointer(c.Entry)), desc: uintptr(descriptorOf(c.Type))}
	addresses := map[string]uintptr{
		"closure":   want.desc,
		"code":      want.code,
		"point":     uintptr(descriptorOf(reflect.TypeFor[point]())),
		"newobject": functionNamed(t, im, "runtime.newobject"),
		"mallocgc":  functionNamed(t, im, "runtime.mallocgc"),
		"barrier":   functionNamed(t, im, "runtime.gcWriteBarrier2"),
		"other":     functionNamed(t, im, "runtime.memmove"),
	}
	for arch, d := range dialects {
		for _, f := range flows {
			a := &assembly{t: t, mach: d.mach, pc: want.code}
			a.write(d, f.flow, addresses)
			found := follow(onMachine{im, d.mach}, a.steps).bound
			if bound := slices.Contains(found, want); bound != f.bound || !f.bound && len(found) > 0 {
				t.Errorf("%s: %s: bound %v", arch, f.name, found)
			}
		}
	}
}

// What only looks like the descriptor of a closure is none.
func TestOtherStructsAreNotTheDescriptorOfAClosure(t *testing.T) {
	im := mustSelf(t)
	type wrongName struct {
		G  uintptr
		X0 int
	}
	type wrongKind struct {
		F  int
		X0 int
	}
	for _, typ := range types(new(point), new(int), new(handmade), new(wrongName), new(wrongKind), new(struct{ F uintptr }), new(struct {
		F uintptr
		Y int
	}), new(struct {
		F      uintptr
		X0, X2 int
	}), new(struct {
		G  uintptr
		X0 int
	})) {
		if isClosure(im, uintptr(descriptorOf(typ))) {
			t.Errorf("%v is taken for a closure", typ)
		}
	}
}

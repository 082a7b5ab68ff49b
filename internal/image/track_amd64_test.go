package image

import (
	"encoding/binary"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// assembly is a function in the making: machine code that would begin at pc.
type assembly struct {
	t     *testing.T
	pc    uintptr
	steps []step
}

func (a *assembly) emit(b ...byte) {
	a.t.Helper()
	s, n := decodeOne(append(b, make([]byte, 16)...))
	if n != len(b) {
		a.t.Fatalf("% x: decoded %d bytes", b, n)
	}
	s.pc, s.next = a.pc, a.pc+uintptr(n)
	a.pc = s.next
	a.steps = append(a.steps, s)
}

// rel emits an instruction that ends in the distance to a target.
func (a *assembly) rel(target uintptr, op ...byte) {
	a.t.Helper()
	dist := int32(int64(target) - int64(a.pc) - int64(len(op)) - 4)
	a.emit(binary.LittleEndian.AppendUint32(op, uint32(dist))...)
}

// instructions that closures are made of, and some that get in the way.
var instructions = map[string][]byte{
	"spill":     {0x48, 0x89, 0x44, 0x24, 0x10},       // MOVQ AX, 16(SP)
	"reload":    {0x48, 0x8b, 0x44, 0x24, 0x10},       // MOVQ 16(SP), AX
	"store":     {0x48, 0x89, 0x08},                   // MOVQ CX, (AX)
	"storeNext": {0x48, 0x89, 0x48, 0x08},             // MOVQ CX, 8(AX)
	"storeHalf": {0x89, 0x08},                         // MOVL CX, (AX)
	"lose":      {0x48, 0x89, 0xd8},                   // MOVQ BX, AX
	"toStack":   {0x48, 0x8d, 0x44, 0x24, 0x08},       // LEAQ 8(SP), AX
	"overwrite": {0xc5, 0xfa, 0x7f, 0x44, 0x24, 0x10}, // VMOVDQU X0, 16(SP)
	"half":      {0xc7, 0x44, 0x24, 0x14, 0, 0, 0, 0}, // MOVL $0, 20(SP)
	"skipLose":  {0x74, 3},                            // JEQ over the next, if that is lose
	"skip5":     {0x74, 5},                            // JEQ over reload
	"skip10":    {0x74, 10},                           // JEQ over lose, skip5 and reload
	"increment": {0x48, 0x83, 0xc0, 0x08},             // ADDQ $8, AX
}

// loads are the instructions that name an address: LEAQ addr(SB), reg and CALL addr.
var loads = map[string][]byte{"AX=": {0x48, 0x8d, 0x05}, "CX=": {0x48, 0x8d, 0x0d}, "BX=": {0x48, 0x8d, 0x1d}, "CALL=": {0xe8}}

// write emits a flow: names of instructions, and loads followed by the name of an address.
func (a *assembly) write(flow string, addresses map[string]uintptr) {
	for word := range strings.FieldsSeq(flow) {
		if b, ok := instructions[word]; ok {
			a.emit(b...)
			continue
		}
		op, name, _ := strings.Cut(word, "=")
		a.rel(addresses[name], slices.Clone(loads[op+"="])...)
	}
}

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
	for _, f := range flows {
		a := &assembly{t: t, pc: want.code}
		a.write(f.flow, addresses)
		found := im.follow(a.steps)
		if bound := slices.Contains(found, want); bound != f.bound || !f.bound && len(found) > 0 {
			t.Errorf("%s: bound %v", f.name, found)
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
		if im.closureDescriptor(uintptr(descriptorOf(typ))) {
			t.Errorf("%v is taken for a closure", typ)
		}
	}
}

package image

import (
	"bytes"
	"debug/elf"
	"errors"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"unsafe"
)

func TestWaysToBuildThatCannotCrossAreRefusedByName(t *testing.T) {
	for _, s := range []debug.BuildSetting{
		{Key: "-buildmode", Value: "plugin"},
		{Key: "-buildmode", Value: "shared"},
		{Key: "-buildmode", Value: "c-shared"},
		{Key: "-buildmode", Value: "c-archive"},
		{Key: "-asan", Value: "true"},
		{Key: "-msan", Value: "true"},
	} {
		err := refusedMode([]debug.BuildSetting{{Key: "CGO_ENABLED", Value: "1"}, s})
		if err == nil || !strings.Contains(err.Error(), s.Key) || !strings.Contains(err.Error(), ": build ") {
			t.Errorf("%s=%s: %v", s.Key, s.Value, err)
		}
	}
	for _, s := range []debug.BuildSetting{{Key: "-buildmode", Value: "exe"}, {Key: "-buildmode", Value: "pie"}, {Key: "-race", Value: "true"}} {
		if err := refusedMode([]debug.BuildSetting{s}); err != nil {
			t.Errorf("%s=%s: %v", s.Key, s.Value, err)
		}
	}
}

// An executable without section headers is what a packer leaves.
func TestPackedExecutablesAreRefused(t *testing.T) {
	b, err := os.ReadFile(fixture(t, "linux/amd64"))
	if err != nil {
		t.Fatal(err)
	}
	clear(b[0x28:0x30]) // where the section headers are
	clear(b[0x3c:0x40]) // how many, and which one has their names
	f, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if err := complete(f); !errors.Is(err, errPacked) {
		t.Errorf("packed: %v", err)
	}
	if _, err := readProgram(bytes.NewReader(b)); !errors.Is(err, errNotGo) {
		t.Errorf("packed, surveyed: %v", err)
	}
	f, err = elf.Open("/bin/ls")
	if err != nil {
		t.Skip("there is no /bin/ls to look at: ", err)
	}
	defer f.Close()
	if err := complete(f); !errors.Is(err, errNotThisFile) {
		t.Errorf("another program: %v", err)
	}
}

// Makers that disagree are a refusal wherever they are, if not for the first call then for the next.
func TestMakersFarAwayThatDisagreeAreARefusal(t *testing.T) {
	mustSelf(t)
	n, s := 1, "s"
	fv, other := escape(func() int { return n }), escape(func() int { return len(s) })
	im, err := self()
	if err != nil {
		t.Fatal(err)
	}
	o, err := im.Closure(other)
	if err != nil {
		t.Fatal(err)
	}
	confirmed(im, other)
	far, code := functionNamed(t, im, "runtime.newobject"), *(*uintptr)(fv)
	im.binder.loads[code] = append(im.binder.loads[code], far)
	im.binder.tracked.Store(far, []binding{{code: code, desc: uintptr(descriptorOf(o.Type))}})
	if c, err := im.Closure(fv); err != nil {
		t.Errorf("at first: %+v, %v", c, err)
	}
	confirmed(im, fv)
	var refused *RefusalError
	if c, err := im.Closure(fv); !errors.As(err, &refused) || !strings.Contains(refused.Reason, "more than one way") {
		t.Errorf("later: %+v, %v", c, err)
	}
	if _, err := im.Closure(other); err != nil {
		t.Errorf("another closure: %v", err)
	}
}

// confirmed waits until all code has been searched for makers of a closure.
func confirmed(im *Image, fv unsafe.Pointer) {
	if wg, ok := im.binder.checks.Load(*(*uintptr)(fv)); ok {
		wg.(*sync.WaitGroup).Wait()
	}
}

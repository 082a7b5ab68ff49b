package runner

import (
	"bytes"
	"fmt"
	"runtime"

	"github.com/fleetinglambda/flame/internal/session"
)

// maxDump is how many bytes of stacks are looked at.
const maxDump = 16 << 20

// stacks returns the stacks of the goroutine that runs a call and of those it has started, or without a call of all.
func stacks(in *session.Incoming) []byte {
	all := dump()
	if in == nil {
		return all
	}
	mark := in.Mark()
	return bytes.Join(family(bytes.Split(all, []byte("\n\n")), fmt.Appendf(nil, ".answer({0x%x, 0x%x}", mark[0], mark[1])), []byte("\n\n"))
}

// dump returns the stacks of all goroutines.
func dump() []byte {
	for size := 64 << 10; ; size *= 4 {
		buf := make([]byte, size)
		if n := runtime.Stack(buf, true); n < size || size >= maxDump {
			return buf[:n]
		}
	}
}

// family returns the goroutine whose stack holds mark, and those that it started, or that these did, in that order.
func family(all [][]byte, mark []byte) (found [][]byte) {
	var first []byte
	for _, g := range all {
		if bytes.Contains(g, mark) {
			first = g
			break
		}
	}
	if first == nil {
		return nil
	}
	found = append(found, first)
	for i := 0; i < len(found); i++ {
		by := fmt.Appendf(nil, " in goroutine %s\n", numberOf(found[i]))
		for _, g := range all {
			if bytes.Contains(g, by) {
				found = append(found, g)
			}
		}
	}
	return found
}

// numberOf returns the number of a goroutine, which follows its first word.
func numberOf(stack []byte) []byte {
	_, rest, _ := bytes.Cut(stack, []byte(" "))
	number, _, _ := bytes.Cut(rest, []byte(" "))
	return number
}

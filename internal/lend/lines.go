package lend

import "bytes"

// maxLine is how many bytes of a line are kept.
const maxLine = 16 << 10

// Lines cuts what is written to it into lines, without their ends. Empty ones are left out.
type Lines struct {
	// Line gets each line, and how many bytes more it had. It must not keep it.
	Line func(line []byte, more int)

	rest []byte // of the line that has begun
	more int
}

// Write never fails.
func (l *Lines) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		line, next, whole := bytes.Cut(b, []byte{'\n'})
		b = next
		if !whole || len(l.rest) > 0 || l.more > 0 {
			room := maxLine + 1 - len(l.rest) // one more, which may be the last '\r'
			kept := line[:min(len(line), room)]
			l.rest = append(l.rest, kept...)
			l.more += len(line) - len(kept)
		}
		switch {
		case !whole:
		case len(l.rest) > 0:
			l.End()
		default:
			l.give(line, 0)
		}
	}
	return n, nil
}

// End gives the line that has begun.
func (l *Lines) End() {
	l.give(l.rest, l.more)
	if l.rest, l.more = l.rest[:0], 0; cap(l.rest) > maxLine/4 {
		l.rest = nil
	}
}

func (l *Lines) give(line []byte, more int) {
	if more == 0 {
		line = bytes.TrimSuffix(line, []byte{'\r'})
	}
	if over := len(line) - maxLine; over > 0 {
		line, more = line[:maxLine], more+over
	}
	if len(line) > 0 {
		l.Line(line, more)
	}
}

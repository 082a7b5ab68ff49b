package lend

import (
	"encoding/binary"
	"log"
	"strconv"
	"strings"
)

// ofFile are the flags of a *log.Logger about where a line was logged: only the runner knows that.
const ofFile = log.Lshortfile | log.Llongfile

// lendLineLogger has lines of the runner printed as the logger prints its own.
func (d *Desk) lendLineLogger(t *lent) {
	l := t.value.(*log.Logger)
	t.ref = binary.AppendUvarint(t.ref, uint64(l.Flags()))
	t.heed = func(o op, payload []byte) {
		if o != logged {
			return
		}
		line := escaped(string(payload))
		d.deliver(len(line), func() {
			if flags := l.Flags(); flags&ofFile != 0 { // the line says where it is from; the writer has to bear two loggers
				_ = log.New(l.Writer(), l.Prefix(), flags&^ofFile).Output(0, line)
				return
			}
			_ = l.Output(0, line) // a logger ignores it, too
		})
	}
}

// escaped makes control characters visible: a terminal would obey them.
func escaped(s string) string {
	bad := func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r == 0x7f }
	if !strings.ContainsFunc(s, bad) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if bad(r) {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// lineLogger stands in for a *log.Logger of the parent.
func (b *Borrower) lineLogger(number uint64, details []byte) (*log.Logger, error) {
	flags, n := binary.Uvarint(details)
	if n <= 0 {
		return nil, errNote
	}
	return log.New(lines{b.Link, number}, "", int(flags)&ofFile), nil
}

// lines sends each line that is written to it.
type lines struct {
	link   Link
	number uint64
}

// Write sends one line. When too much waits to be sent, it is dropped.
func (w lines) Write(line []byte) (int, error) {
	if w.link.Backlog() <= maxBacklog {
		w.link.Note(note(w.number, logged, line[:min(len(line), maxText)]...))
	}
	return len(line), nil
}

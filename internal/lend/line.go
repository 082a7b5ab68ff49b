package lend

import (
	"encoding/binary"
	"fmt"
	"log"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
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
		line := Escaped(string(payload))
		d.deliver(len(line), func() {
			if flags := l.Flags(); flags&ofFile != 0 { // the line says where it is from; the writer has to bear two loggers
				_ = log.New(l.Writer(), l.Prefix(), flags&^ofFile).Output(0, line)
				return
			}
			_ = l.Output(0, line) // a logger ignores it, too
		})
	}
}

// Escaped makes control characters visible, which a terminal would obey, and bytes that are no text.
func Escaped(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, isControl) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case isControl(r):
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		default:
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}

func isControl(r rune) bool { return r != '\n' && r != '\t' && unicode.IsControl(r) }

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

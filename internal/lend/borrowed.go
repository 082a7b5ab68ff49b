package lend

import (
	"context"
	"encoding/binary"
	"errors"
	"runtime"
	"strings"
	"sync"

	"github.com/fleetinglambda/flame/internal/codec"
)

// errOver is the error of a stream that something left behind by the function still uses.
var errOver = errors.New("the call that this was lent to is over")

// errGone is the error of a stream whose parent has ended before a function that is detached from it.
var errGone = errors.New("the parent that has lent this is gone")

// borrowedStream stands in for a stream of the parent. What the function gets has its methods one by one: see shaped.
// They may be called by several goroutines at once. Notes are sent with mu held, so that they are in order.
type borrowedStream struct {
	link   noter
	number uint64
	seeks  bool        // what reads it also moves what is written and sought
	trust  codec.Trust // in who has it
	closed func()      // it was closed; may be nil

	mu      sync.Mutex // guards what follows
	changed sync.Cond  // something has
	waiting int        // how many wait for that
	over    error      // nothing can be done any more

	epoch    uint64  // of the reading
	begun    bool    // the parent reads
	chunks   []chunk // that have come; the first perhaps read in part
	unread   int     // bytes in them
	consumed uint64  // bytes that the function has read
	told     uint64  // of these, what the parent knows of
	ending   error   // after the chunks
	along    bool    // it has come along with the last of them

	writing   bool   // somebody is in write
	unwritten int    // what has been written and not been acknowledged
	written   uint64 // how many notes of it there were
	done      uint64 // of these, how many the parent is certainly through with
	failed    error  // of a Write of the parent, if the function has not seen it
	failures  uint64 // that it has seen

	requests map[uint64]*wanted // by their ids
	lastID   uint64
}

// noter sends notes.
type noter interface{ Note(note []byte) bool }

// stream stands in for a stream of the parent. It ends with the call's context, too, so that a cancelled function does
// not wait for the parent.
func (b *Borrower) stream(number uint64, details []byte) (t borrowed, err error) {
	if len(details) != 1 {
		return t, errNote
	}
	s := newBorrowedStream(b.Link, number, details[0] == 1, codec.Trusted)
	ctx := b.Link.Context()
	stop := context.AfterFunc(ctx, func() { s.end(context.Cause(ctx)) })
	return borrowed{value: s, heed: s.heed, settle: s.settle, end: func() {
		stop()
		s.end(errOver)
	}}, nil
}

func newBorrowedStream(link noter, number uint64, seeks bool, trust codec.Trust) *borrowedStream {
	s := &borrowedStream{link: link, number: number, seeks: seeks, trust: trust, epoch: 1}
	s.changed.L = &s.mu
	return s
}

// heed takes what the parent notes. Who waits for it goes on at once, where the note has just been read; otherwise the
// scheduler would take its time to find out that another processor is free.
func (s *borrowedStream) heed(o op, payload []byte) {
	s.mu.Lock()
	awaited := s.waiting > 0
	s.heedLocked(o, payload)
	s.mu.Unlock()
	if awaited {
		runtime.Gosched()
	}
}

func (s *borrowedStream) heedLocked(o op, payload []byte) {
	if s.over != nil {
		return
	}
	ok := true
	switch o {
	case read, failed:
		ok = s.heedReadLocked(o, payload)
	case wrote:
		n, size := binary.Uvarint(payload)
		if ok = size > 0 && n <= uint64(s.unwritten); ok {
			s.unwritten -= int(n)
		}
	case unwritten:
		if ok = s.failed == nil; ok { // nothing more is written before the function knows
			s.failed = unpackErrorOf(payload, s.trust)
		}
	case answered:
		ok = s.heedAnswerLocked(payload)
	case gone:
		s.endLocked(errGone)
	}
	if !ok {
		s.endLocked(errNote)
	}
	s.changed.Broadcast()
}

// waitLocked waits, without the lock, until something has changed.
func (s *borrowedStream) waitLocked() {
	s.waiting++
	s.changed.Wait()
	s.waiting--
}

// end has everything fail that waits or comes. Chunks that have come are not given out any more.
func (s *borrowedStream) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endLocked(err)
}

func (s *borrowedStream) endLocked(err error) {
	s.over = err
	s.dropLocked()
	clear(s.requests)
	s.changed.Broadcast()
}

// tellLocked sends a note.
func (s *borrowedStream) tellLocked(o op, numbers ...uint64) {
	n := appendNote(nil, s.number, o)
	for _, i := range numbers {
		n = binary.AppendUvarint(n, i)
	}
	s.link.Note(n)
}

// settle waits until the parent has written what the function wrote, and puts back what it has not read.
func (s *borrowedStream) settle(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over == nil {
		s.stopReadingLocked()
	}
	if s.written == s.done && s.failed == nil {
		return nil
	}
	_, err := s.requestLocked(aFlush)
	if failed := s.failureLocked(); failed != nil {
		return failed
	}
	return err
}

// Advice says what to do about a panic of a function that used something borrowed; "" if it was about something else.
// Where the compiler has seen what is in a variable, it calls the methods of that type, not the interface's.
func Advice(panicked any) string {
	err, ok := panicked.(*runtime.TypeAssertionError)
	if !ok || !strings.Contains(err.Error(), "lend.lent") {
		return ""
	}
	return ": on a runner a captured reader or writer is not what it was on the parent, but the compiler saw what was assigned to the " +
		"variable and calls that type directly: assign it to a field, as in in := struct{ io.Reader }{file}, and capture that"
}

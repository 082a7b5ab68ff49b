package lend

import (
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
)

const (
	// window is how far a reader of the parent is read ahead of what the function has read, in bytes.
	window = 256 << 10
	// chunk is how much is read and sent at a time, in bytes.
	chunk = 32 << 10
)

// lentReader reads on the parent what the function reads on the runner. Nothing is read before the function does.
type lentReader struct {
	desk   *Desk
	number uint64
	from   io.Reader
	gone   chan struct{} // closed when nothing reads any more; guarded by mu

	mu     sync.Mutex // guards what follows
	credit int        // bytes that may be read and sent
	begun  bool
	over   bool
	more   sync.Cond // credit or over has changed
}

func (d *Desk) lendReader(t *lent, number uint64) {
	r := &lentReader{desk: d, number: number, from: t.value.(io.Reader)}
	r.more.L = &r.mu
	t.heed, t.forget = r.heed, r.forget
	d.mu.Lock()
	d.readers = append(d.readers, r)
	d.mu.Unlock()
}

// heed takes what the runner notes: how much more it can take, or that the function has closed the reader.
func (r *lentReader) heed(o op, payload []byte) {
	switch o {
	case asked:
		if n, size := binary.Uvarint(payload); size > 0 && n <= window {
			r.grant(int(n))
		}
	case toClose:
		if c, ok := r.from.(io.Closer); ok {
			r.desk.reading.Go(func() { r.desk.tell(note(r.number, closed, packResult(c.Close())...)) })
		}
	}
}

// grant lets n more bytes be read. The first grant begins the reading.
func (r *lentReader) grant(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.credit = min(r.credit+n, window)
	r.more.Broadcast()
	if !r.begun && !r.over {
		r.begun, r.gone = true, make(chan struct{})
		r.desk.reading.Go(r.read)
	}
}

// forget has the reading end, once a Read that blocks has returned.
func (r *lentReader) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	r.more.Broadcast()
}

// reads returns what is closed when nothing reads any more; nil if nothing ever did.
func (r *lentReader) reads() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gone
}

// read reads and sends what there is credit for, to the end.
func (r *lentReader) read() {
	defer close(r.gone)
	buf := make([]byte, chunk)
	for n := 0; ; {
		room := r.room(n)
		if room == 0 {
			return
		}
		var err error
		n, err = r.from.Read(buf[:min(room, chunk)])
		if n > 0 {
			r.desk.tell(note(r.number, read, buf[:n]...))
		}
		if err != nil {
			r.desk.tell(note(r.number, failed, packError(err)...))
			return
		}
	}
}

// room takes what was read off the credit and waits until there is some; 0 means that the call is over.
func (r *lentReader) room(n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.credit -= n
	for r.credit == 0 && !r.over {
		r.more.Wait()
	}
	if r.over {
		return 0
	}
	return r.credit
}

// errOver is the error of a reader that something left behind by the function still reads.
var errOver = errors.New("the call that this reader was lent to is over")

// borrowedReader is what the function reads.
type borrowedReader struct {
	link   Link
	number uint64

	mu      sync.Mutex // guards what follows
	chunks  [][]byte   // that have come; the first perhaps read in part
	begun   bool
	taken   int   // bytes read since the parent was last asked for more
	err     error // after the chunks
	closing bool
	closed  *error    // what closing it on the parent has returned
	changed sync.Cond // chunks, err or closed has
}

func newBorrowedReader(link Link, number uint64) *borrowedReader {
	r := &borrowedReader{link: link, number: number}
	r.changed.L = &r.mu
	return r
}

// onlyReader hides that every borrowedReader can be closed: whoever asks gets the answer that fits the variable.
type onlyReader struct{ io.Reader }

// Advice says what to do about a panic of a function that used a borrowed reader; "" if it was about something else.
// Where the compiler has seen what is in a variable, it calls the methods of that type, not the interface's.
func Advice(panicked any) string {
	err, ok := panicked.(*runtime.TypeAssertionError)
	if !ok || !strings.Contains(err.Error(), "lend.borrowedReader") && !strings.Contains(err.Error(), "lend.onlyReader") {
		return ""
	}
	return ": on a runner a captured reader is not what it was on the parent, but the compiler saw what was assigned to the variable " +
		"and calls that type directly: assign it to a field, as in in := struct{ io.Reader }{file}, and capture that"
}

// heed takes what the parent notes.
func (r *borrowedReader) heed(o op, payload []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch o {
	case read:
		r.chunks = append(r.chunks, append([]byte(nil), payload...))
	case failed:
		if r.err == nil {
			r.err = unpackError(payload)
		}
	case closed:
		err := unpackResult(payload)
		r.closed = &err
	}
	r.changed.Broadcast()
}

// end has everything fail that still waits. Chunks that have come are not given out any more.
func (r *borrowedReader) end(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.chunks, r.err = nil, err
	if r.closed == nil {
		r.closed = &err
	}
	r.changed.Broadcast()
}

// Read reads as the parent's reader does. Several goroutines may read, and one may close it meanwhile.
func (r *borrowedReader) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	r.mu.Lock()
	if !r.begun && r.err == nil {
		r.begun = true
		r.askLocked(window)
	}
	for len(r.chunks) == 0 && r.err == nil {
		r.changed.Wait()
	}
	n := 0
	for len(r.chunks) > 0 && n < len(b) {
		m := copy(b[n:], r.chunks[0])
		n += m
		if r.chunks[0] = r.chunks[0][m:]; len(r.chunks[0]) == 0 {
			r.chunks[0], r.chunks = nil, r.chunks[1:]
		}
	}
	defer r.mu.Unlock()
	if n == 0 {
		return 0, r.err
	}
	if r.taken += n; r.taken >= window/2 && r.err == nil {
		r.askLocked(r.taken)
		r.taken = 0
	}
	return n, nil
}

// askLocked lets the parent send n more bytes.
func (r *borrowedReader) askLocked(n int) {
	r.link.Note(note(r.number, asked, binary.AppendUvarint(nil, uint64(n))...))
}

// Close closes the parent's reader and returns what that returns.
func (r *borrowedReader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closing && r.closed == nil {
		r.closing = true
		r.link.Note(note(r.number, toClose))
	}
	for r.closed == nil {
		r.changed.Wait()
	}
	return *r.closed
}

// packResult is packError for an error that may be nil.
func packResult(err error) []byte {
	if err == nil {
		return nil
	}
	return packError(err)
}

// unpackResult is the inverse of packResult.
func unpackResult(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	return unpackError(b)
}

var _ io.ReadCloser = (*borrowedReader)(nil)

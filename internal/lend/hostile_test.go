package lend

import (
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
)

// TestF12_ARunnerThatAsksForTooMuchEndsItsCall sends what no function can cause.
func TestF12_ARunnerThatAsksForTooMuchEndsItsCall(t *testing.T) {
	args := func(b []byte, numbers ...uint64) []byte {
		for _, n := range numbers {
			b = binary.AppendUvarint(b, n)
		}
		return b
	}
	for name, notes := range map[string]func(d *Desk, lentOne io.Writer) [][]byte{
		"writes beyond the window": func(*Desk, io.Writer) (all [][]byte) {
			for range window/room + maxRequests + 5 {
				all = append(all, append(note(0, write, 0), make([]byte, room)...))
			}
			return all
		},
		"too many small writes": func(*Desk, io.Writer) (all [][]byte) {
			for range (window+maxRequests*room)/writeCost + 1000 {
				all = append(all, note(0, write, 0, 1))
			}
			return all
		},
		"too many requests": func(*Desk, io.Writer) (all [][]byte) {
			for i := range maxRequests + 1 {
				all = append(all, packRequest(nil, 0, aFlush, uint64(i), 0))
			}
			return append([][]byte{note(0, write, 0, 1)}, all...)
		},
		"reads what can only be written":   func(*Desk, io.Writer) [][]byte { return [][]byte{args(note(0, asked), 1, 0)} },
		"writes what can only be read":     func(*Desk, io.Writer) [][]byte { return [][]byte{note(1, write, 0, 1)} },
		"closes what can only be written":  func(*Desk, io.Writer) [][]byte { return [][]byte{packRequest(nil, 0, aClose, 1, 0)} },
		"seeks what can only be written":   func(*Desk, io.Writer) [][]byte { return [][]byte{append(packRequest(nil, 0, aSeek, 1, 0), 0, 0)} },
		"puts back what cannot seek":       func(*Desk, io.Writer) [][]byte { return [][]byte{args(note(0, back), 0)} },
		"reads more at once than it can":   func(*Desk, io.Writer) [][]byte { return [][]byte{args(packRequest(nil, 1, aReadAt, 1, 0), 0, room+1)} },
		"has read more than there was":     func(*Desk, io.Writer) [][]byte { return [][]byte{args(note(1, asked), 1, 1)} },
		"has read less than it had before": func(*Desk, io.Writer) [][]byte { return [][]byte{args(note(1, asked), 1, 1<<63)} },
		"asks for nothing that there is":   func(*Desk, io.Writer) [][]byte { return [][]byte{packRequest(nil, 1, 99, 1, 0)} },
		"is cut off":                       func(*Desk, io.Writer) [][]byte { return [][]byte{note(0, write)} },
	} {
		synctest.Test(t, func(t *testing.T) {
			d, b, w := call(t)
			d.Bind(w.send)
			to := &gate{open: make(chan struct{})}
			cross[io.Writer](t, d, b, to)
			cross[interface {
				io.Reader
				io.ReaderAt
			}](t, d, b, &memory{data: []byte("text"), most: 1})
			for _, n := range notes(d, to) {
				d.Noted(n)
			}
			synctest.Wait()
			if err := d.Owner.(*office).failed(); !errors.Is(err, errNote) {
				t.Errorf("a runner that %s: %v", name, err)
			}
			close(to.open)
		})
	}
}

// drum can seek, and its Read waits until it is closed.
type drum struct {
	once   sync.Once
	closed chan struct{}
}

func (d *drum) Read([]byte) (int, error)       { <-d.closed; return 0, io.ErrClosedPipe }
func (d *drum) Seek(int64, int) (int64, error) { return 0, nil }
func (d *drum) Close() error                   { d.once.Do(func() { close(d.closed) }); return nil }

func TestF12_CloseEndsAReadOfWhatSeeksToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, b, w := call(t)
		d.Bind(w.send)
		on := cross[io.ReadCloser](t, d, b, &drum{closed: make(chan struct{})})
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := on.Read(make([]byte, 3)); err == nil || err.Error() != io.ErrClosedPipe.Error() {
				t.Error(err)
			}
		})
		synctest.Wait()
		if err := on.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
	})
}

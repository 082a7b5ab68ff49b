package line

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// exchange has both ends write b and read it, and says what went wrong. Both read on until the line is over, or reading is
// called off, as sessions do.
func exchange(w *world, b []byte) error {
	var writes, reads sync.WaitGroup
	errs := make(chan error, 2)
	whole := make(chan error, 2)
	for _, l := range []*Line{w.near, w.far} {
		writes.Go(func() { errs <- pour(l, b) })
		reads.Go(func() {
			got := make([]byte, len(b))
			_, err := io.ReadFull(l, got)
			if err == nil && !bytes.Equal(got, b) {
				err = errors.New("other bytes came than were written")
			}
			whole <- err
			_, _ = l.Read(make([]byte, 1))
		})
	}
	writes.Wait()
	err := errors.Join(<-errs, <-errs, <-whole, <-whole)
	for _, l := range []*Line{w.near, w.far} {
		l.SetReadDeadline(time.Unix(1, 0))
	}
	reads.Wait()
	for _, l := range []*Line{w.near, w.far} {
		l.SetReadDeadline(time.Time{})
	}
	return err
}

func TestN05_AConnectionThatIsCutAtAnyByteLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 700
		sent := pattern(size)
		for at := range size + 200 {
			for _, carry := range [][]int{{at, 1 << 30}, {1 << 30, at}} {
				w := &world{cut: func(n int) []int {
					if n == 0 {
						return carry
					}
					return nil
				}}
				w.connect(t, usual)
				if err := exchange(w, sent); err != nil {
					t.Fatalf("cut after %v bytes: %v", carry, err)
				}
				w.close()
			}
		}
	})
}

func TestN05_ConnectionsThatAreCutAgainAndAgainLoseNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, every := range []int{40, 64, 100, 500, 5000} {
			w := &world{cut: func(n int) []int { return []int{every, every + n%3} }}
			w.connect(t, usual)
			if err := exchange(w, pattern(30*every+200)); err != nil {
				t.Fatalf("cut every %d bytes: %v", every, err)
			}
			if w.close(); w.dials() < 20 {
				t.Errorf("cut every %d bytes: only %d connections", every, w.dials())
			}
		}
	})
}

func TestN05_MoreThanTheRingKeepsCrossesACutConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pattern(3 * most)
		w := &world{cut: func(n int) []int {
			if n < 5 {
				return []int{most/2 + n, most/3 + n}
			}
			return nil
		}}
		w.connect(t, usual)
		var there sync.WaitGroup
		there.Go(func() {
			if _, err := w.near.Write(b); err != nil {
				t.Error(err)
			}
		})
		there.Go(func() { _, _ = w.near.Read(make([]byte, 1)) })
		got := make([]byte, len(b))
		if _, err := io.ReadFull(w.far, got); err != nil || !bytes.Equal(got, b) {
			t.Errorf("what came is not what was sent: %v", err)
		}
		w.close()
		there.Wait()
		if w.dials() < 3 {
			t.Errorf("%d connections", w.dials())
		}
	})
}

func TestALineThatIsClosedEndsAtTheOtherEnd(t *testing.T) {
	w := new(world)
	w.connect(t, usual)
	var closed sync.WaitGroup
	closed.Go(func() {
		if _, err := w.near.Write([]byte("last")); err != nil {
			t.Error(err)
		}
		w.near.Close()
	})
	got, err := io.ReadAll(w.far)
	closed.Wait()
	if string(got) != "last" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := w.near.Read(make([]byte, 1)); err != ErrClosed {
		t.Errorf("reading here: %v", err)
	}
	if _, err := w.near.Write([]byte{1}); err != ErrClosed {
		t.Errorf("writing here: %v", err)
	}
	if w.dials() != 1 || w.far.Away() || w.far.Err() != io.EOF {
		t.Errorf("%d connections, away %v, %v", w.dials(), w.far.Away(), w.far.Err())
	}
}

func TestReadingIsCalledOffWithAndWithoutAConnection(t *testing.T) {
	w := new(world)
	w.connect(t, usual)
	for _, plugged := range []bool{true, false} {
		if !plugged {
			w.plug(false)
		}
		over := make(chan error, 1)
		var reads sync.WaitGroup
		reads.Go(func() {
			_, err := w.far.Read(make([]byte, 1))
			over <- err
		})
		w.far.SetReadDeadline(time.Unix(1, 0))
		if err := <-over; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%v", err)
		}
		w.far.SetReadDeadline(time.Time{})
		reads.Wait()
	}
	w.plug(true)
	if err := exchange(w, pattern(100)); err != nil {
		t.Errorf("after that: %v", err)
	}
}

func TestWhatTheOtherEndCannotHaveReceivedEndsTheLine(t *testing.T) {
	for _, theirs := range []int64{-1, 1 << 40} {
		w := new(world)
		w.connect(t, usual)
		if err := exchange(w, pattern(100)); err != nil {
			t.Fatal(err)
		}
		near, far := w.pipe()
		err := w.far.Resume(far, theirs, func(int64) error { return nil })
		if !errors.Is(err, ErrCorrupt) || !errors.Is(w.far.Err(), ErrCorrupt) {
			t.Errorf("%d: %v, %v", theirs, err, w.far.Err())
		}
		near.Close()
		w.close()
	}
}

func TestAConnectionThatCannotBeGreetedIsNotTaken(t *testing.T) {
	w := new(world)
	w.connect(t, usual)
	near, far := w.pipe()
	defer near.Close()
	defer far.Close()
	if err := w.far.Resume(far, 0, func(int64) error { return io.ErrShortWrite }); err != io.ErrShortWrite {
		t.Errorf("%v", err)
	}
	if err := exchange(w, pattern(100)); err != nil {
		t.Errorf("the right one is not taken then: %v", err)
	}
}

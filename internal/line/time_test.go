package line

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestN05_AnIdleConnectionLivesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(world)
		w.connect(t, usual)
		var reads sync.WaitGroup
		for _, l := range []*Line{w.near, w.far} {
			reads.Go(func() { _, _ = l.Read(make([]byte, 1)) })
		}
		time.Sleep(time.Hour)
		if w.dials() != 1 || w.near.Away() || w.far.Away() {
			t.Errorf("%d connections in an hour, away: %v, %v", w.dials(), w.near.Away(), w.far.Away())
		}
		w.close()
		reads.Wait()
	})
}

func TestN05_TrafficInOneDirectionIsLifeInBoth(t *testing.T) {
	for _, c := range []struct {
		fromNear bool
		size     int
		every    time.Duration
	}{{true, 100, time.Second / 10}, {false, 100, time.Second / 10}, {true, 1, time.Second}, {false, 1, time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			w := new(world)
			w.connect(t, usual)
			from, to := w.near, w.far
			if !c.fromNear {
				from, to = to, from
			}
			var reads sync.WaitGroup
			for _, l := range []*Line{w.near, w.far} {
				reads.Go(func() { _, _ = io.Copy(io.Discard, l) })
			}
			for range time.Minute / c.every {
				if _, err := from.Write(make([]byte, c.size)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(c.every)
			}
			if w.dials() != 1 || to.Away() {
				t.Errorf("%+v: %d connections in a minute", c, w.dials())
			}
			w.close()
			reads.Wait()
		})
	}
}

// reading reads from both ends and returns when, after begin, and with what each ended.
func reading(w *world, begin time.Time) (ended func() (near, far time.Duration, nearErr, farErr error)) {
	var reads sync.WaitGroup
	var at [2]time.Duration
	var errs [2]error
	for i, l := range []*Line{w.near, w.far} {
		reads.Go(func() {
			_, errs[i] = io.Copy(io.Discard, l)
			at[i] = time.Since(begin)
		})
	}
	return func() (near, far time.Duration, nearErr, farErr error) {
		reads.Wait()
		return at[0], at[1], errs[0], errs[1]
	}
}

func TestN05_PastTheWindowBothEndsAgreeThatItIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(world)
		w.connect(t, usual)
		ended := reading(w, time.Now())
		w.plug(false)
		near, far, nearErr, farErr := ended()
		if near != usual.Window || far != usual.Window {
			t.Errorf("after %v and %v", near, far)
		}
		var lost *LostError
		if !errors.As(farErr, &lost) || !strings.Contains(farErr.Error(), "not restored within 10s") {
			t.Errorf("there: %v", farErr)
		}
		if !errors.As(nearErr, &lost) || !strings.Contains(nearErr.Error(), "unplugged") {
			t.Errorf("here: %v", nearErr)
		}
		if errors.Is(nearErr, os.ErrDeadlineExceeded) { // which is what a Read says that was called off, and is to be repeated
			t.Errorf("here: %v, for which it is called off only", nearErr)
		}
	})
}

func TestN05_WithinTheWindowNothingIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(world)
		w.connect(t, usual)
		w.plug(false)
		time.Sleep(usual.Window - time.Second)
		if !w.near.Away() || !w.far.Away() {
			t.Error("it is not away")
		}
		w.plug(true)
		if err := exchange(w, pattern(1000)); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if w.near.Away() || w.far.Away() {
			t.Error("it is away still")
		}
	})
}

func TestN05_WithoutAWindowALineEndsWithItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(world)
		w.connect(t, Config{Silence: 15 * time.Second})
		ended := reading(w, time.Now())
		w.plug(true)
		near, far, nearErr, farErr := ended()
		if near != 0 || far != 0 || nearErr == nil || farErr == nil || w.dials() != 1 {
			t.Errorf("after %v and %v: %v, %v, %d connections", near, far, nearErr, farErr, w.dials())
		}
	})
}

func TestN05_ARunnerThatIsKnownToBeGoneIsNotWaitedFor(t *testing.T) {
	for _, before := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := new(world)
			w.connect(t, usual)
			ended := reading(w, time.Now())
			if before {
				w.far.Final()
			}
			w.plug(false)
			synctest.Wait()
			w.far.Final()
			if _, far, _, err := ended(); far != 0 || err == nil {
				t.Errorf("after %v: %v", far, err)
			}
		})
	}
}

func TestN05_WhoIsRefusedGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{refuses: true}
		w.connect(t, usual)
		ended := reading(w, time.Now())
		w.plug(true)
		if near, _, err, _ := ended(); near != 0 || !errors.Is(err, ErrRefused) {
			t.Errorf("after %v: %v", near, err)
		}
	})
}

// swallowing has both directions of a connection, or one, end in a hole from now on, and says so to nobody.
func swallowing(t *testing.T) (w *world, there, back *hole) {
	near, far := net.Pipe()
	there, back = &hole{Conn: near}, &hole{Conn: far}
	w = &world{t: t}
	w.far = New(back, usual)
	c := usual
	c.Dial = w.dial
	w.near = New(there, c)
	t.Cleanup(w.close)
	return w, there, back
}

func TestN05_SilenceEitherWayBringsAnotherConnection(t *testing.T) {
	for _, which := range []string{"there", "back", "both"} {
		t.Run(which, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, there, back := swallowing(t)
				ended := reading(w, time.Now())
				time.Sleep(time.Minute)
				if which != "back" {
					there.swallow()
				}
				if which != "there" {
					back.swallow()
				}
				time.Sleep(usual.Silence + time.Second)
				if w.dials() != 1 || w.near.Away() || w.far.Away() {
					t.Errorf("%d new connections, away: %v, %v", w.dials(), w.near.Away(), w.far.Away())
				}
				w.close()
				ended()
			})
		})
	}
}

func TestN05_SilentDeathIsFoundIn15Seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, there, back := swallowing(t)
		time.Sleep(1300 * time.Millisecond)
		ended := reading(w, time.Now())
		w.plug(false) // there is no pipe to break yet
		there.swallow()
		back.swallow()
		near, far, nearErr, farErr := ended()
		most := usual.Silence + usual.Window
		if near > most || far > most || !errors.Is(nearErr, ErrSilent) && !errors.Is(farErr, ErrSilent) {
			t.Errorf("after %v and %v: %v, %v", near, far, nearErr, farErr)
		}
	})
}

func TestN05_ConnectionsThatBringNothingDoNotProlongTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(world)
		w.connect(t, usual)
		w.mu.Lock()
		w.cut = func(int) []int { return []int{0, 0} }
		w.mu.Unlock()
		ended := reading(w, time.Now())
		w.plug(true)
		if near, far, _, _ := ended(); near > usual.Window+time.Second || far > usual.Window+time.Second {
			t.Errorf("after %v and %v", near, far)
		}
	})
}

func TestN05_ANewConnectionThatIsSilentEndsWithTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(world)
		short := Config{Silence: 5 * time.Second, Window: 2 * time.Second}
		w.connect(t, short)
		ended := reading(w, time.Now())
		w.mu.Lock()
		w.swallows = true
		w.mu.Unlock()
		w.plug(true)
		if near, far, _, _ := ended(); near > short.Window || far > short.Window {
			t.Errorf("after %v and %v", near, far)
		}
	})
}

func TestN05_WhoWritesWaitsForAConnectionOnlyWhenTooMuchIsOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(world)
		w.connect(t, usual)
		w.plug(false)
		b := pattern(2 * most)
		if n, err := w.near.Write(b[:most/2]); n != most/2 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		begin, wrote := time.Now(), make(chan error, 1)
		var writes sync.WaitGroup
		writes.Go(func() {
			_, err := w.near.Write(b[most/2:])
			wrote <- err
		})
		time.Sleep(3 * time.Second)
		w.plug(true)
		got := make([]byte, len(b))
		if _, err := io.ReadFull(w.far, got); err != nil || string(got) != string(b) {
			t.Errorf("other bytes: %v", err)
		}
		if err := <-wrote; err != nil || time.Since(begin) < 3*time.Second {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
		writes.Wait()
	})
}

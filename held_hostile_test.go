//go:build linux

package flame_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/internal/codec"
	"github.com/fleetinglambda/flame/internal/image"
	"github.com/fleetinglambda/flame/internal/lend"
	"github.com/fleetinglambda/flame/internal/runner"
	"github.com/fleetinglambda/flame/internal/session"
)

// hostile is a backend whose runners answer as they like.
type hostile struct {
	answer func(in *session.Incoming)
}

func (h hostile) Boot(_ context.Context, spec backend.Spec) (backend.Instance, error) {
	i := &hostileInstance{id: spec.ID, done: make(chan struct{})}
	ours, theirs := net.Pipe()
	i.conn = ours
	i.wg.Go(func() {
		defer close(i.done)
		im, err := image.Self()
		if err != nil {
			panic(err)
		}
		v, err := session.Join(context.Background(), theirs, session.Hello{Runner: spec.ID, Build: im.Build()}, func(session.Welcome) error { return nil })
		if err == nil {
			v.Serve(h.answer)
			v.Wait()
		}
		theirs.Close()
	})
	return i, nil
}

func (hostile) Local() {}

type hostileInstance struct {
	id   string
	conn io.ReadWriteCloser
	done chan struct{}
	wg   sync.WaitGroup
}

func (i *hostileInstance) ID() string               { return i.id }
func (i *hostileInstance) Done() <-chan struct{}    { return i.done }
func (i *hostileInstance) Err() error               { return nil }
func (i *hostileInstance) Conn() io.ReadWriteCloser { return i.conn }

func (i *hostileInstance) Stop(context.Context) error {
	i.conn.Close()
	i.wg.Wait()
	return nil
}

// returned is an answer with a reader.
func returned(t *testing.T, lender codec.Lender, r io.ReadCloser) [][]byte {
	t.Helper()
	msg, err := codec.Encode(&r, codec.Options{Result: true, Lender: lender})
	if err != nil {
		t.Fatal(err)
	}
	return append([][]byte{{byte(runner.Returned)}}, msg...)
}

// until replies when the call is cancelled.
func until(in *session.Incoming) {
	<-in.Context().Done()
	in.Reply(nil)
}

func TestF13_ARunnerThatHoldsWhatItMayNotHarmsOnlyItself(t *testing.T) {
	file := func() io.ReadCloser { return io.NopCloser(strings.NewReader("text")) }
	for name, c := range map[string]struct {
		answer func(in *session.Incoming)
		run    bool   // a function without a result
		err    string // of the call, if it has one
		read   string // of the reader, if there is one
	}{
		"nothing": {answer: func(in *session.Incoming) {
			in.Hold(returned(t, nil, nil), false)
			until(in)
		}},
		"garbage": {answer: func(in *session.Incoming) {
			in.Hold([][]byte{{byte(runner.Returned), 0xff, 0xff}}, false)
			until(in)
		}, err: "cannot be read"},
		"no bytes": {answer: func(in *session.Incoming) {
			in.Hold(nil, false)
			until(in)
		}, err: "it is empty"},
		"an error": {answer: func(in *session.Incoming) {
			msg, _ := codec.EncodeError(io.ErrUnexpectedEOF, codec.Options{})
			in.Hold(append([][]byte{{byte(runner.Failed)}}, msg...), false)
			until(in)
		}, err: io.ErrUnexpectedEOF.Error()},
		"of a procedure": {run: true, answer: func(in *session.Incoming) {
			in.Hold(nil, false)
			until(in)
		}, err: "lost"},
		"without holding it": {answer: func(in *session.Incoming) {
			in.Reply(returned(t, &lend.Returned{Link: in}, file()))
		}, err: "lent where nothing can be"},
		"twice": {answer: func(in *session.Incoming) {
			answer := returned(t, &lend.Returned{Link: in}, file())
			in.Hold(answer, false)
			in.Hold(answer, false)
			until(in)
		}, read: "lost"},
		"a nonsense note": {answer: func(in *session.Incoming) {
			in.Hold(returned(t, &lend.Returned{Link: in}, file()), false)
			in.Listen(func([]byte) { in.Note([]byte{0x80, 0x80, 0x80, 0x80, 0x10, 5}) })
			until(in)
		}, read: "cannot be read"},
		"a nonsense end": {answer: func(in *session.Incoming) {
			in.Hold(returned(t, &lend.Returned{Link: in}, file()), false)
			in.Reply([][]byte{{77}})
		}, read: "outcome 77"},
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := open(t, flame.Config{Backend: hostile{c.answer}, Max: 1})
			var r io.ReadCloser
			var err error
			if c.run {
				err = flame.Run(t.Context(), p, func(context.Context) error { return nil })
			} else {
				r, err = flame.Call(t.Context(), p, func(context.Context) (io.ReadCloser, error) { return nil, nil })
			}
			if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) || (r != nil) != (c.read != "") {
				t.Errorf("%v, %v", r, err)
			}
			if r != nil {
				_, err := r.Read(make([]byte, 1))
				if err == nil || err == io.EOF || !strings.Contains(err.Error(), c.read) {
					t.Errorf("read: %v", err)
				}
			}
			free(t, p)
		})
	}
}

// TestF13_ATaskIsCancelledWithItsReader: whoever has the Task can end what it holds.
func TestF13_ATaskIsCancelledWithItsReader(t *testing.T) {
	p, _ := open(t, flame.Config{})
	name, want := paperFile(t, 1<<20)
	task := flame.Start(t.Context(), p, func(context.Context) (io.ReadCloser, error) { return os.Open(name) })
	r, err := task.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	if _, err := io.ReadFull(r, b); err != nil || !bytes.HasPrefix(want, b) {
		t.Errorf("%q, %v", b, err)
	}
	task.Cancel()
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, context.Canceled) {
		t.Errorf("read: %v", err)
	}
	free(t, p)
}

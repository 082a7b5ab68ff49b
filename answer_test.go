package flame

import (
	"errors"
	"testing"

	"github.com/fleetinglambda/flame/internal/codec"
	"github.com/fleetinglambda/flame/internal/runner"
)

// FuzzReadAnswer gives a parent any bytes for an answer: they end in a result or in an error of a call that ran, or
// that certainly did not.
func FuzzReadAnswer(f *testing.F) {
	for _, v := range []any{new(int), &SendError{"path", "reason"}, &runner.Panic{Value: "v", Stack: "s", Err: []byte{1}}} {
		msg, err := codec.Encode(v, codec.Options{Snapshot: true})
		if err != nil {
			f.Fatal(err)
		}
		for o := range runner.Unsendable + 2 {
			f.Add(append([]byte{byte(o)}, msg[0]...))
		}
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		var result map[string][]int
		err := readAnswer(answer, "r", &result, nil)
		var send *SendError
		if err != nil && !Ran(err) && !errors.As(err, &send) {
			t.Errorf("%x: %v does not say whether the function ran", answer, err)
		}
		if err != nil && result != nil {
			t.Errorf("%x: %v, and a result", answer, err)
		}
	})
}

func TestEveryErrorSaysWhetherTheFunctionRan(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{ErrPoolClosed, false},
		{&SendError{}, false},
		{&BootError{}, false},
		{&TimeoutError{}, false},
		{&TimeoutError{Started: true}, true},
		{&RunnerLostError{}, false},
		{&RunnerLostError{Started: true}, true},
		{&RemoteError{Err: errors.New("x")}, true},
		{&RemoteError{Err: &SendError{}}, true},
		{&PanicError{}, true},
	} {
		if got := Ran(c.err); got != c.want {
			t.Errorf("Ran(%T) = %v", c.err, got)
		}
	}
}

package codec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
)

var (
	errOwn     = errors.New("own sentinel")
	errWrapped = fmt.Errorf("wrapped: %w", errOwn)
)

type codeError struct {
	code int
	tags []string
}

func (e *codeError) Error() string { return fmt.Sprint("code ", e.code, e.tags) }

type valueError struct{ msg string }

func (e valueError) Error() string { return e.msg }

type lockedError struct {
	mu  sync.Mutex
	err error
}

func (e *lockedError) Error() string { return "locked: " + e.err.Error() }
func (e *lockedError) Unwrap() error { return e.err }

// returnError sends an error from a runner to its parent.
func returnError(t *testing.T, err error) error {
	t.Helper()
	msg, failed := EncodeError(err, Options{})
	if failed != nil {
		t.Fatal(failed)
	}
	back, failed := DecodeError(join(msg), Untrusted)
	if failed != nil {
		t.Fatal(failed)
	}
	return back
}

func TestN03_errorsAreWhatTheyWere(t *testing.T) {
	_, notThere := os.Open("/does/not/exist")
	code := &codeError{7, []string{"x"}}
	net1 := &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(1, 2, 3, 4), Port: 5}, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	for _, c := range []struct{ err, is error }{
		{io.EOF, io.EOF},
		{io.ErrUnexpectedEOF, io.ErrUnexpectedEOF},
		{errOwn, errOwn},
		{errWrapped, errWrapped},
		{context.Canceled, context.Canceled},
		{context.DeadlineExceeded, context.DeadlineExceeded},
		{fmt.Errorf("read: %w", io.EOF), io.EOF},
		{fmt.Errorf("%w and %w", io.EOF, errOwn), errOwn},
		{errors.Join(errors.New("a"), fmt.Errorf("b: %w", fs.ErrNotExist)), fs.ErrNotExist},
		{notThere, fs.ErrNotExist},
		{notThere, syscall.ENOENT},
		{fmt.Errorf("v: %w", valueError{"v"}), valueError{"v"}},
		{syscall.EAGAIN, syscall.EAGAIN},
		{net1, syscall.ECONNREFUSED},
		{&lockedError{err: fmt.Errorf("in: %w", io.EOF)}, io.EOF},
		{fmt.Errorf("deep: %w", &lockedError{err: code}), nil},
	} {
		t.Run(c.err.Error(), func(t *testing.T) {
			got := returnError(t, c.err)
			if got.Error() != c.err.Error() || c.is != nil && !errors.Is(got, c.is) {
				t.Errorf("got %v (%T), which is not %v", got, got, c.is)
			}
		})
	}
	var asCode *codeError
	if err := returnError(t, fmt.Errorf("a: %w", code)); !errors.As(err, &asCode) || asCode.code != 7 || asCode.tags[0] != "x" {
		t.Errorf("got %v", err)
	}
	var asOp *net.OpError
	if err := returnError(t, net1); !errors.As(err, &asOp) || asOp.Addr.String() != "1.2.3.4:5" {
		t.Errorf("got %v", err)
	}
	if err := returnError(t, nil); err != nil {
		t.Errorf("nil became %v", err)
	}
}

func TestSentinelOfAnotherValue_isOnlyACopy(t *testing.T) {
	// given a message that names a variable which holds something else here
	msg, err := EncodeError(errOwn, Options{})
	if err != nil {
		t.Fatal(err)
	}
	data := []byte(strings.Replace(string(join(msg)), "own sentinel", "own sentineL", 1))
	// when it is decoded, then the copy counts
	got, err := DecodeError(data, Untrusted)
	if err != nil || errors.Is(got, errOwn) || got.Error() != "own sentineL" {
		t.Errorf("got %v, %v", got, err)
	}
}

type panickyError struct{ ch chan int }

func (panickyError) Error() string { panic("no text") }

func TestErrorThatPanics_becomesText(t *testing.T) {
	if err := returnError(t, panickyError{}); !strings.Contains(err.Error(), "its Error method panics") {
		t.Errorf("got %v", err)
	}
}

func TestHostileErrors_areRefused(t *testing.T) {
	// given errors that would hurt whoever asks them
	circle := &crossedError{text: "circle"}
	circle.wrapped = []error{circle}
	for _, err := range []error{circle, (*fs.PathError)(nil), errors.Join(io.EOF, (*codeError)(nil))} {
		// when they come from a runner that does not use EncodeError
		v := struct{ err error }{err}
		msg, failed := Encode(&v, Options{})
		if failed != nil {
			t.Fatal(failed)
		}
		// then they are not taken
		if Decode(join(msg), &v, Untrusted) == nil {
			t.Errorf("a %T was taken", err)
		}
	}
}

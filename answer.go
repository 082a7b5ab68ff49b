package flame

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/internal/codec"
	"github.com/fleetinglambda/flame/internal/runner"
)

// errGoexit is the error of a function that ended its goroutine instead of returning.
var errGoexit = errors.New("the function ended its goroutine with runtime.Goexit (t.FailNow does that too) and returned nothing")

// readAnswer turns a runner's answer into the function's result or an error. The answer may be any bytes. held makes what stands in
// for what the result holds; nil if it cannot.
func readAnswer(answer []byte, from string, result any, held codec.Borrower) error {
	if len(answer) == 0 {
		return badAnswer(from, errors.New("it is empty"))
	}
	data := answer[1:]
	switch o := runner.Outcome(answer[0]); o {
	case runner.Returned:
		return readResult(data, from, result, held)
	case runner.Failed:
		err, failed := codec.DecodeError(data, codec.Untrusted)
		if failed != nil {
			return badAnswer(from, failed)
		}
		return &RemoteError{Err: err, Runner: from}
	case runner.Panicked:
		return readPanic(data, from)
	case runner.Exited:
		return &RemoteError{Err: errGoexit, Runner: from}
	case runner.Unreadable:
		return readUnreadable(data, from)
	case runner.Unsendable:
		refused := new(codec.SendError)
		if err := codec.Decode(data, refused, codec.Untrusted); err != nil {
			return badAnswer(from, err)
		}
		return &RemoteError{Err: &SendError{Path: refused.Path, Reason: refused.Reason}, Runner: from}
	case runner.Lost:
		return readLost(answer, from)
	default:
		return badAnswer(from, fmt.Errorf("outcome %d", o))
	}
}

func readResult(data []byte, from string, result any, held codec.Borrower) error {
	if result == nil {
		return nil
	}
	if err := codec.Take(data, result, held); err != nil {
		return badAnswer(from, err)
	}
	return nil
}

func readPanic(data []byte, from string) error {
	var p runner.Panic
	if err := codec.Decode(data, &p, codec.Untrusted); err != nil {
		return badAnswer(from, err)
	}
	e := &PanicError{Value: p.Value, Stack: p.Stack, Runner: from}
	if p.Err != nil {
		e.err, _ = codec.DecodeError(p.Err, codec.Untrusted) // without it, the text remains
	}
	return e
}

// readLost makes the error of a call whose own process was lost. An answer that cannot be read does not say that the
// function did not start.
func readLost(answer []byte, from string) error {
	_, started := runner.WasLost(answer)
	d, err := runner.ReadLost(answer)
	if err != nil {
		return badAnswer(from, err)
	}
	e := &RunnerLostError{Started: started, Runner: from, ExitCode: -1, Output: d.Output, Stacks: d.Stacks, own: true, cause: errors.New(d.Why)}
	if d.Exited {
		exit := &backend.ExitError{Code: d.Code, OOM: d.OOM}
		if d.Signal != 0 {
			exit.Signal = syscall.Signal(d.Signal)
		}
		e.exited(exit)
		if d.Why == "" {
			e.cause = exit
		}
	}
	return e
}

func readUnreadable(data []byte, from string) error {
	err, failed := codec.DecodeError(data, codec.Untrusted)
	if failed != nil {
		return badAnswer(from, failed)
	}
	return &SendError{Path: "the function on runner " + from, Reason: err.Error()}
}

// badAnswer is the error of a call whose function ran but whose answer cannot be used.
func badAnswer(from string, err error) error {
	return &RemoteError{Err: fmt.Errorf("flame: the answer of runner %s cannot be read: %w", from, err), Runner: from}
}

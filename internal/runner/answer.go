// Package runner is the runner's side: it answers calls, and it leaves when it is told to or its parent is gone.
package runner

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/fleetinglambda/flame/internal/codec"
	"github.com/fleetinglambda/flame/internal/lend"
	"github.com/fleetinglambda/flame/internal/session"
)

// Function is what a call's message holds. Run returns a pointer to the function's result.
type Function interface {
	Run(ctx context.Context) (result any, err error)
}

// Outcome is the first byte of an answer: how the function ended.
type Outcome byte

// The outcomes, and what follows them in the answer.
const (
	Returned   Outcome = 1 // the result, from codec.Encode
	Failed     Outcome = 2 // the error, from codec.EncodeError
	Panicked   Outcome = 3 // a Panic
	Exited     Outcome = 4 // nothing: the function ended its goroutine with runtime.Goexit
	Unreadable Outcome = 5 // why its message could not be decoded, from codec.EncodeError; it did not start
	Unsendable Outcome = 6 // why its result cannot cross, a codec.SendError
	Lost       Outcome = 7 // whether it may have started, a byte, and a Death: the process that it had for itself was lost
)

// remarked is added to the outcome if a Remark follows it.
const remarked Outcome = 0x80

// Remark takes the remark out of an answer: what has changed of what the function captured, or "". The answer may be
// any bytes.
func Remark(answer []byte) (remark string, rest []byte, err error) {
	if len(answer) == 0 || Outcome(answer[0])&remarked == 0 {
		return "", answer, nil
	}
	size, n := binary.Uvarint(answer[1:])
	if n <= 0 || size > maxText || uint64(len(answer)-1-n) < size {
		return "", nil, errors.New("its remark is cut off")
	}
	end := n + int(size) // of the remark; the byte there makes room for the outcome
	remark = string(answer[1+n : 1+end])
	rest = answer[end:]
	rest[0] = answer[0] &^ byte(remarked)
	return remark, rest, nil
}

// withRemark adds a remark to an answer.
func withRemark(remark string, answer [][]byte) [][]byte {
	head := append([]byte{answer[0][0] | byte(remarked)}, binary.AppendUvarint(nil, uint64(len(remark)))...)
	answer[0] = append(head, remark...)
	return answer
}

// Panic is what the answer says of a function that panicked.
type Panic struct {
	Value string
	Stack string
	Err   []byte // the value itself if it was an error, from codec.EncodeError
}

// maxText bounds the text of a panic's value and of its stack in an answer.
const maxText = 64 << 10

// answer runs one call and replies. By its mark, an array and therefore an argument in memory, the goroutine is found
// among others: see stacks.
//
//go:noinline
func answer(_ [2]uint64, in *session.Incoming, j *Joined) {
	o := codec.Options{Limit: j.limit}
	reply := [][]byte{{byte(Exited)}} // if the function ends its goroutine, nothing else gets here
	defer func() { in.Reply(reply) }()
	defer func() {
		if v := recover(); v != nil {
			reply = panicked(v, o)
		}
	}()
	var f Function
	returned := lend.Returned{Link: in}
	borrower := lend.Borrower{Link: &returned, Leftovers: &j.left, Limit: j.limit}
	defer borrower.End()
	var captured codec.Watched
	err := codec.ReceiveWatched(in.Data, &f, &borrower, &captured)
	if err == nil {
		f, err = j.staying.prepare(in.Context(), f)
	}
	if err != nil {
		reply = withError(Unreadable, err, o)
		return
	}
	o.Returns = &captured
	reply = run(withAttempt(borrower.Context(), in.Attempt()), f, &borrower, &returned, o)
	holds := returned.Lent() && Outcome(reply[0][0]) == Returned
	if changed := captured.Changed(); changed != "" {
		reply = withRemark(clip(changed), reply)
	}
	if f = nil; holds {
		reply = hold(in, reply, &returned, &borrower)
	}
	returned.End()
}

// hold answers with a result that holds something, and returns the last answer when that is closed: nothing, or
// why it could not be used any more.
func hold(in *session.Incoming, reply [][]byte, returned *lend.Returned, borrower *lend.Borrower) [][]byte {
	returned.Begin()
	in.Hold(reply, borrower.KeepsDeadline())
	ctx := in.Context()
	err := returned.Wait(ctx)
	if ctx.Err() == nil {
		err = errors.Join(err, borrower.Settle(ctx))
	}
	if err != nil {
		return withError(Failed, err, codec.Options{})
	}
	return nil
}

func run(ctx context.Context, f Function, borrower *lend.Borrower, returned *lend.Returned, o codec.Options) [][]byte {
	settled := false
	defer func() {
		if !settled { // the function does not return, but what it wrote it wrote
			_ = borrower.Settle(ctx)
		}
	}()
	result, err := f.Run(ctx)
	settled = true
	var reply [][]byte
	if err == nil {
		reply = answerWith(result, returned, o)
	}
	if returned.Lent() { // the function is not over yet: what it has begun may go on as long as that is held
		return reply
	}
	if unsettled := borrower.Settle(ctx); err == nil {
		err = unsettled
	}
	if err != nil {
		return withError(Failed, err, o)
	}
	return reply
}

func answerWith(result any, returned *lend.Returned, o codec.Options) [][]byte {
	o.Result, o.Lender, o.Behind = true, returned, 1
	msg, err := codec.Encode(result, o)
	if err != nil {
		return unsendable(err)
	}
	return with(Returned, msg)
}

func with(o Outcome, parts [][]byte) [][]byte {
	return append([][]byte{{byte(o)}}, parts...)
}

func withError(what Outcome, err error, o codec.Options) [][]byte {
	msg, failed := codec.EncodeError(err, o)
	if failed != nil {
		return unsendable(failed)
	}
	return with(what, msg)
}

func unsendable(err error) [][]byte {
	refused := &codec.SendError{Reason: err.Error()}
	errors.As(err, &refused)
	msg, err := codec.Encode(refused, codec.Options{})
	if err != nil { // two strings always can
		panic(err)
	}
	return with(Unsendable, msg)
}

func panicked(v any, o codec.Options) [][]byte {
	p := Panic{Value: clip(fmt.Sprint(v) + lend.Advice(v)), Stack: clip(string(debug.Stack()))}
	if err, ok := v.(error); ok {
		if msg, failed := codec.EncodeError(err, o); failed == nil {
			for _, part := range msg {
				p.Err = append(p.Err, part...)
			}
		}
	}
	msg, err := codec.Encode(&p, codec.Options{})
	if err != nil { // strings and bytes always can
		panic(err)
	}
	return with(Panicked, msg)
}

func clip(s string) string {
	if len(s) > maxText {
		return s[:maxText] + " …"
	}
	return s
}

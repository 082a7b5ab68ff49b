package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/internal/codec"
	"github.com/fleetinglambda/flame/internal/lend"
	"github.com/fleetinglambda/flame/internal/session"
)

const (
	// lastWords is how long a process whose connection is over may take to end by itself.
	lastWords = 500 * time.Millisecond
	// stacksTime is how long a process may take to say where its function is before it is killed.
	stacksTime = time.Second
	// maxBacklog is how many bytes for the parent may wait before the notes of a function are held up.
	maxBacklog = 1 << 20
)

// own is the process that a call has for itself: a copy of this program that runs one call at a time. It takes this
// process for its parent.
type own struct {
	inst    backend.Instance
	session *session.Session
	printed *printed // what it writes

	mu   sync.Mutex        // guards what follows
	in   *session.Incoming // the call that it runs; nil: none
	call *session.Call     // the same, as the process gets it

	overdue time.Duration // for so long its function ignored that its context had ended; set before it is killed for it
	stacks  []byte        // of that function
}

// bootOwn boots a copy. What does not come up is ended.
func bootOwn(ctx context.Context, b backend.Backend, spec backend.Spec, runner string, w session.Welcome, server *atomic.Pointer[session.Server]) (*own, error) {
	out := newPrinted(server)
	spec.Output = out
	inst, err := b.Boot(ctx, spec)
	if err != nil {
		return nil, err
	}
	p := &own{inst: inst, printed: out}
	offer(inst.ID(), ownScore)
	if p.session, err = meet(ctx, inst, runner, w); err == nil {
		p.session.Hear(func(_ *session.Call, told []byte) { out.pass(told) })
		return p, nil
	}
	if ctx.Err() == nil && p.isGone(lastWords) && exitOf(inst.Err()) != nil {
		err = fmt.Errorf("it ended before it was ready: %w", inst.Err())
	}
	p.kill()
	return nil, err
}

func meet(ctx context.Context, inst backend.Instance, runner string, w session.Welcome) (*session.Session, error) {
	file, ok := inst.(backend.Connected).Conn().(*os.File)
	if !ok {
		return nil, errors.New("it brings no connection")
	}
	conn, err := session.Socket(file)
	if err != nil {
		return nil, err
	}
	limits := session.DefaultLimits
	limits.Room = codec.Room
	limits.Message, limits.Silence = w.Message, w.Silence
	return session.Accept(ctx, conn, runner, w, limits)
}

// run has the process run a call. The result is lost if the process is. One that is held is passed on when it comes; the
// process has the call until the last.
func (p *own) run(in *session.Incoming, grace time.Duration) (session.Result, error) {
	ended, held := make(chan session.Result, 1), make(chan session.Result, 1)
	c := &session.Call{
		Key: in.Key(), Attempt: in.Attempt(), Attended: true,
		Ended: func(r session.Result) { ended <- r },
		Held:  func(r session.Result) { held <- r },
		Noted: func(note []byte) { in.Room(maxBacklog); in.Note(note) },
	}
	var left time.Duration
	if d, ok := in.Context().Deadline(); ok {
		left = max(1, time.Until(d))
	}
	p.printed.begin(in)
	if err := p.session.Send(c, [][]byte{in.Data}, left); err != nil {
		return session.Result{}, err
	}
	in.Data = nil // the session has it until it has left
	p.runs(in, c)
	defer p.runs(nil, nil)
	in.Listen(func(note []byte) { p.session.Note(c, note) })
	over, limited := make(chan struct{}), make(chan struct{})
	stop := context.AfterFunc(in.Context(), func() {
		defer close(limited)
		p.limit(in, c, grace, over)
	})
	p.session.Wait(c)
	select {
	case r := <-held:
		p.flush()
		in.Hold([][]byte{r.Data}, false)
		if in.Context().Err() != nil { // for its deadline perhaps, which the process does not keep any more
			p.session.CancelFor(c, why(in))
		}
	default:
	}
	result := <-ended
	if close(over); !stop() {
		<-limited
	}
	return result, nil
}

// spoken has told the parent, when it returns, all that the process has printed for its call. It prints for none then.
func (p *own) spoken() {
	p.flush()
	p.printed.end()
}

// flush has told the parent, when it returns, the lines that the process has printed so far.
func (p *own) flush() {
	if f, ok := p.inst.(backend.Flusher); ok {
		f.Flush()
	}
}

func (p *own) runs(in *session.Incoming, c *session.Call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.in, p.call = in, c
}

// where returns the stacks of a call if it runs here.
func (p *own) where(in *session.Incoming) (text []byte) {
	p.mu.Lock()
	c := p.call
	here := in != nil && p.in == in
	p.mu.Unlock()
	if here {
		ctx, cancel := context.WithTimeout(context.Background(), stacksTime)
		defer cancel()
		text, _ = p.session.Stacks(ctx, c)
	}
	return text
}

// limit ends a call whose context has ended, and the process if the function ignores that for longer than grace.
func (p *own) limit(in *session.Incoming, c *session.Call, grace time.Duration, over <-chan struct{}) {
	if in.Context().Err() != context.DeadlineExceeded { // that one the process keeps itself
		p.session.CancelFor(c, why(in))
	}
	wait := time.NewTimer(grace)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-over:
		return
	}
	p.stacks = p.where(in) // without them it is killed all the same
	select {
	case <-over: // just in time
	default:
		p.overdue = max(1, grace)
		p.kill()
	}
}

// why packs the cause of a call's end for its process: as the parent has, or what this one knows.
func why(in *session.Incoming) []byte {
	if packed := in.Why(); packed != nil {
		return packed
	}
	if cause := context.Cause(in.Context()); cause != context.Canceled {
		return lend.PackCause(cause)
	}
	return nil
}

// death says how a process was lost that had a call. It is gone then.
func (p *own) death() Death {
	var d Death
	why := p.session.Err()
	switch gone := p.isGone(lastWords); {
	case p.overdue > 0:
		d.Why, d.Stacks = fmt.Sprintf("it was killed because its function ignored for %v that its context had ended", p.overdue), p.stacks
	case !gone:
		d.Why = why.Error()
	}
	p.kill()
	return d.died(p.inst)
}

// isGone says whether the process is, or goes soon.
func (p *own) isGone(within time.Duration) bool {
	wait := time.NewTimer(within)
	defer wait.Stop()
	select {
	case <-p.inst.Done():
		return true
	case <-wait.C:
		return false
	}
}

// kill ends the process at once and waits until it is gone.
func (p *own) kill() {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_ = p.inst.Stop(ended) // nothing more can be done
	if p.session != nil {
		p.session.Close()
	}
}

// leave lets the process clean up and go. It is gone when ctx ends, at the latest.
func (p *own) leave(ctx context.Context, drain bool) {
	if drain {
		p.session.Drain()
	} else {
		p.session.Close()
	}
	select {
	case <-p.inst.Done():
	case <-ctx.Done():
	}
	p.kill()
}

func exitOf(err error) *backend.ExitError {
	var exit *backend.ExitError
	errors.As(err, &exit)
	return exit
}

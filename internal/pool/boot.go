package pool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/internal/session"
)

// live is what belongs to a runner while it lives. One goroutine takes it from boot to end.
type live struct {
	runner  *runner
	leave   chan struct{} // closed by retire
	retire  func()
	inst    backend.Instance // set by the runner's goroutine before it is ready
	session *session.Session // likewise
	reason  error            // for the log, if why is nil
	known   chan struct{}    // closed when it is known why it is gone
	why     error            // nil: it was told to leave
	killed  chan stuck       // one: it is to end now, for that
}

// stuck is a call whose function does not end.
type stuck struct {
	why    *StuckError
	remote *session.Call
}

func newLive(r *runner) *live {
	l := &live{runner: r, leave: make(chan struct{}), known: make(chan struct{}), killed: make(chan stuck, 1)}
	l.retire = sync.OnceFunc(func() { close(l.leave) })
	return l
}

// kill has the runner end, with its calls. It is called once.
func (l *live) kill(culprit stuck) { l.killed <- culprit }

const (
	// lastWords is how long a dead runner's instance may take to say how it died.
	lastWords = 500 * time.Millisecond
	// farWords is the same where an engine has to notice it first and say so: Kubernetes looks once a second.
	farWords = 3 * time.Second
	// insist is how long an instance that is to go at once is asked before it is made to.
	insist = 200 * time.Millisecond
	// lookAround is how long a runner may take to say where a function is that does not end.
	lookAround = time.Second
	// thinkTime is how long a runner may take to say whether it is idle.
	thinkTime = 10 * time.Second
)

// errToldToLeave is in the log only.
var errToldToLeave = errors.New("it was told to leave")

// run takes a runner from its boot to its end.
func (p *Pool) run(l *live) {
	r := l.runner
	if p.config.Gone != nil {
		defer p.config.Gone(r.id)
	}
	if err := p.boot(l); err != nil {
		level := slog.LevelWarn
		if errors.Is(err.Err, ErrClosed) { // it is what was asked for
			level = slog.LevelInfo
		}
		p.config.Logger.Log(context.Background(), level, "flame: runner did not come up", "pool", p.config.Name, "runner", r.id, "error", err.Err)
		p.event(nil, func(now time.Duration) {
			err.Attempts = p.state.demand.failed + 1
			p.state.bootFailed(r, err, now)
			if p.failure == nil {
				p.failure = err
			}
			delete(p.live, r)
		})
		return
	}
	p.config.Logger.Info("flame: runner is up", "pool", p.config.Name, "runner", r.id, "instance", l.inst.ID())
	p.event(nil, func(now time.Duration) { p.state.up(r, now) })
	p.attend(l)
	p.config.Logger.Info("flame: runner is gone", "pool", p.config.Name, "runner", r.id, "instance", l.inst.ID(), "why", cmp.Or(l.why, l.reason))
	p.event(nil, func(now time.Duration) {
		p.state.ended(r, l.why, now)
		delete(p.live, r)
	})
}

// boot brings a runner up and into a session. What does not come up is stopped.
func (p *Pool) boot(l *live) *BootError {
	ctx, cancel := context.WithTimeoutCause(context.Background(), p.config.BootTimeout,
		fmt.Errorf("it was not ready in %v: %w", p.config.BootTimeout, context.DeadlineExceeded))
	defer cancel()
	ctx, stop := p.during(ctx, l.leave)
	defer stop()
	fail := &BootError{Runner: l.runner.id}
	spec, err := p.config.Spec(ctx, l.runner.id)
	if err == nil {
		l.inst, err = p.config.Backend.Boot(ctx, spec)
	}
	if fail.Err = err; err != nil {
		return fail
	}
	if l.session, fail.Err = p.config.Join(ctx, l.runner.id, l.inst); fail.Err == nil {
		return nil
	}
	fail.Err = l.diagnose(ctx, fail.Err)
	p.stop(l, insist)
	fail.Output = output(l.inst)
	return fail
}

// during returns a context that also ends, with ErrClosed, when the pool is closed or ended is. stop lets go of it.
func (p *Pool) during(ctx context.Context, ended <-chan struct{}) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-p.cut:
			cancel(ErrClosed)
		case <-ended:
			cancel(ErrClosed)
		case <-ctx.Done():
		}
	})
	return ctx, func() {
		cancel(nil)
		watch.Wait()
	}
}

// diagnose prefers how the instance ended, if it has, to what the connection said of it.
func (l *live) diagnose(ctx context.Context, err error) error {
	if r := new(session.Refusal); errors.As(err, &r) || ctx.Err() != nil || !l.isDone(l.patience()) {
		return err
	}
	if exit := l.inst.Err(); exit != nil {
		return fmt.Errorf("it ended before it was ready: %w", exit)
	}
	return errors.New("it ended with exit code 0 before it was ready: does main reach ServeIfRunner?")
}

// patience is how long the instance may take to say how it died.
func (l *live) patience() time.Duration {
	if _, here := l.inst.(backend.Connected); here {
		return lastWords
	}
	return farWords
}

// isDone says whether the instance is gone, or goes soon.
func (l *live) isDone(within time.Duration) bool {
	wait := time.NewTimer(within)
	defer wait.Stop()
	select {
	case <-l.inst.Done():
		return true
	case <-wait.C:
		return false
	}
}

// attend waits until a runner is lost or is to leave, and sees it off.
func (p *Pool) attend(l *live) {
	killed := p.awaitEnd(l)
	p.event(nil, func(now time.Duration) {
		if killed != nil || !l.runner.told {
			p.state.died(l.runner, now)
		}
		l.reason = fmt.Errorf("%w: %s", errToldToLeave, l.runner.why)
	})
	if killed != nil {
		l.why = killed
	} else {
		l.why = p.cause(l)
	}
	close(l.known)
	if l.why == nil {
		p.sayGoodbye(l)
	}
	l.session.Close()
	p.stop(l, insist)
}

// awaitEnd waits until a runner is lost or is to leave, and returns why it is to be killed, if it is.
func (p *Pool) awaitEnd(l *live) (killed *StuckError) {
	leaving := p.leaving(l)
	leaves := func() { p.event(nil, func(now time.Duration) { p.state.leaving(l.runner, now) }) }
	for {
		select {
		case <-leaving:
			leaves()
			leaving = nil
			continue
		case <-l.session.Turned():
			p.turn(l)
			continue
		case culprit := <-l.killed:
			killed = p.accuse(l, culprit)
		case <-l.leave:
		case <-l.session.Done():
		case <-l.inst.Done():
		case <-p.cut:
		}
		select {
		case <-leaving: // it had said so, and is gone already
			leaves()
		default:
		}
		return killed
	}
}

// turn notes that a runner cannot be reached, or that it can again.
func (p *Pool) turn(l *live) {
	away, turned := l.session.Away(), false
	p.event(nil, func(now time.Duration) {
		turned = l.runner.away != away
		p.state.turn(l.runner, away, now)
	})
	switch {
	case turned && away:
		p.config.Logger.Warn("flame: runner cannot be reached", "pool", p.config.Name, "runner", l.runner.id, "instance", l.inst.ID())
	case turned:
		p.config.Logger.Info("flame: runner is back", "pool", p.config.Name, "runner", l.runner.id, "instance", l.inst.ID())
	}
}

// accuse asks a runner where a function is that does not end, and tells it in the log.
func (p *Pool) accuse(l *live, culprit stuck) *StuckError {
	ctx, cancel := context.WithTimeout(context.Background(), lookAround)
	defer cancel()
	why := culprit.why
	why.Stacks, _ = l.session.Stacks(ctx, culprit.remote) // without them it is killed all the same
	p.config.Logger.Warn("flame: a function did not end although its context had; its runner is killed", "pool", p.config.Name,
		"runner", l.runner.id, "call", why.Call, "grace", why.Grace, "stacks", string(why.Stacks))
	return why
}

// leaving returns the channel that is closed when the runner says that it takes no more calls, or nil.
func (p *Pool) leaving(l *live) <-chan struct{} {
	if p.config.Leaving == nil {
		return nil
	}
	return p.config.Leaving(l.session)
}

// ask asks a runner whether it is idle.
func (p *Pool) ask(l *live) {
	ctx, cancel := context.WithTimeout(context.Background(), thinkTime)
	defer cancel()
	ctx, stop := p.during(ctx, l.session.Done())
	defer stop()
	idle, err := p.config.IdleCheck(ctx, l.session)
	if err != nil && ctx.Err() == nil {
		p.config.Logger.Warn("flame: runner does not say whether it is idle", "pool", p.config.Name, "runner", l.runner.id, "error", err)
	}
	p.event(nil, func(now time.Duration) { p.state.answer(l.runner, idle || err != nil, now) })
}

// sayGoodbye gives a runner without calls the time to clean up and leave.
func (p *Pool) sayGoodbye(l *live) {
	l.session.Drain()
	p.giveTime(l, p.config.ShutdownTimeout)
}

// giveTime waits until a runner's instance has ended, but not beyond a time, nor beyond Close.
func (p *Pool) giveTime(l *live, atMost time.Duration) {
	wait := time.NewTimer(atMost)
	defer wait.Stop()
	select {
	case <-l.inst.Done():
	case <-wait.C:
	case <-p.cut:
	}
}

func (p *Pool) stop(l *live, patience time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := l.inst.Stop(ctx); err != nil {
		p.config.Logger.Warn("flame: runner could not be stopped", "pool", p.config.Name, "runner", l.runner.id, "instance", l.inst.ID(), "error", err)
	}
}

// cause says how a runner was lost; nil if it is alive. What ended a connection says little, so the instance has a
// moment to say how it ended.
func (p *Pool) cause(l *live) error {
	err := l.session.Err()
	if session.Abandoned(err) {
		return err // what follows from that is that it ends
	}
	if err != nil {
		p.giveTime(l, l.patience())
	}
	select {
	case <-l.inst.Done():
		l.session.Final()
		p.hearOut(l)
		if exit := l.inst.Err(); exit != nil {
			return exit
		}
		return fmt.Errorf("its connection is over (%v), and so is it: %w", cmp.Or(l.session.Err(), errUnheard), &backend.ExitError{})
	default:
		return err
	}
}

// errUnheard is said of a connection that something else holds open.
var errUnheard = errors.New("it says nothing")

// hearOut waits until all has been read that a runner has sent that is gone: answers, and what it logged at the end.
func (p *Pool) hearOut(l *live) {
	wait := time.NewTimer(lastWords)
	defer wait.Stop()
	select {
	case <-l.session.Done():
	case <-wait.C: // something that it has left behind holds the connection open
	case <-p.cut:
	}
}

// lostError waits until it is known why a runner is gone, though no longer than a call's deadline that is left from now; 0 is none. A
// runner with calls that is well is cut off by Close.
func (l *live) lostError(left time.Duration) *LostError {
	var late <-chan time.Time
	if left > 0 {
		timer := time.NewTimer(left)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-l.known:
	case <-late:
		return &LostError{Runner: l.runner.id, Started: true, Cause: cmp.Or(l.session.Err(), errCut), Output: output(l.inst)}
	}
	return &LostError{Runner: l.runner.id, Started: true, Cause: cmp.Or(l.why, errCut), Output: output(l.inst)}
}

func output(i backend.Instance) []byte {
	if t, ok := i.(backend.Teller); ok {
		return t.Output()
	}
	return nil
}

package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/backend/process"
	"github.com/fleetinglambda/flame/internal/image"
	"github.com/fleetinglambda/flame/internal/session"
)

// slots run each call in a process of its own, so that one can be killed, or die, alone. A process is booted when a
// call needs one and used again for the next; one that was lost, or whose function panicked, is replaced. This
// process decodes nothing: it passes on messages, notes and answers.
type slots struct {
	backend backend.Backend
	spec    backend.Spec
	runner  string
	welcome session.Welcome // for the processes
	grace   time.Duration
	free    chan struct{}                  // a token for each slot in idle
	server  atomic.Pointer[session.Server] // nil until this process has joined

	ctx    context.Context // of boots
	cancel context.CancelFunc
	boots  sync.WaitGroup // those that go on

	mu      sync.Mutex // guards what follows, and the slots
	all     []*slot
	idle    []*slot // the one that was used last is last
	leaving bool    // nothing is booted for calls to come
	over    bool    // nothing is booted at all
}

// slot has at most one process, which is used by whoever has taken the slot.
type slot struct {
	own *own
}

// errOver is the reason why nothing is booted any more.
var errOver = errors.New("the runner has left")

// newSlots returns as many slots as the welcome says, one of them with a process, so that it is known that more
// can come up.
func newSlots(ctx context.Context, i Invite, build string, w session.Welcome) (*slots, error) {
	i.Ticket = nil // copies inherit their connections
	var plain io.Writer
	if w.Plain {
		plain = os.Stderr
	}
	s := &slots{
		backend: process.New(process.Options{Output: plain}),
		spec: backend.Spec{
			ID: i.Runner, Pool: i.Pool, Parent: i.Parent,
			Path: image.Path, Args: os.Args, Env: append(os.Environ(), i.Variable()),
		},
		runner: i.Runner, grace: w.Grace, free: make(chan struct{}, w.Slots),
		welcome: session.Welcome{Build: build, Names: Names(), Message: w.Message, Silence: w.Silence, Level: w.Level},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	for range w.Slots {
		one := new(slot)
		s.all, s.idle = append(s.all, one), append(s.idle, one)
		s.free <- struct{}{}
	}
	defer context.AfterFunc(ctx, s.cancel)()
	if err := s.boot(s.all[w.Slots-1]); err != nil {
		s.end(ctx, false)
		return nil, fmt.Errorf("boot a process for calls: %w", err)
	}
	return s, nil
}

// take returns a slot whose process is ready for a call. It is the caller's until he gives it back.
func (s *slots) take(ctx context.Context) (*slot, error) {
	select {
	case <-s.free:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	s.mu.Lock()
	one := s.idle[len(s.idle)-1]
	s.idle = s.idle[:len(s.idle)-1]
	s.mu.Unlock()
	err := s.ready(one)
	if err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		s.giveBack(one)
		return nil, err
	}
	return one, nil
}

// ready sees to it that a slot has a process that is alive.
func (s *slots) ready(one *slot) error {
	if p := one.own; p != nil {
		if p.session.Err() == nil {
			return nil
		}
		p.death()
	}
	return s.boot(one)
}

// boot boots the process of a slot that has none, or one that is gone.
func (s *slots) boot(one *slot) error {
	s.mu.Lock()
	if s.over {
		s.mu.Unlock()
		return errOver
	}
	s.boots.Add(1)
	one.own = nil
	s.mu.Unlock()
	defer s.boots.Done()
	ctx, cancel := context.WithTimeout(s.ctx, joinTimeout)
	defer cancel()
	p, err := bootOwn(ctx, s.backend, s.spec, s.runner, s.welcome, &s.server)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one.own = p
	return nil
}

func (s *slots) giveBack(one *slot) {
	s.mu.Lock()
	s.idle = append(s.idle, one)
	s.mu.Unlock()
	s.free <- struct{}{}
}

// answer has a call run in a process of its own and passes its answer on.
func (s *slots) answer(in *session.Incoming) {
	for {
		one, err := s.take(in.Context())
		if err != nil {
			in.Reply(Death{Why: "no process came up: " + err.Error()}.lost(false))
			return
		}
		if s.answerIn(one, in) {
			return
		}
	}
}

// answerIn has a call run in a slot and gives the slot back. It returns false if the process takes no calls.
func (s *slots) answerIn(one *slot, in *session.Incoming) bool {
	p := one.own
	r, err := p.run(in, s.grace)
	switch {
	case err != nil:
		p.spoken()
		p.leave(s.ctx, true)
		s.giveBack(one)
		return false
	case r.Lost:
		d := p.death()
		p.spoken()
		in.Reply(d.lost(r.Started))
		s.replace(one)
	case len(r.Data) > 0 && Outcome(r.Data[0]) == Panicked:
		p.spoken()
		in.Reply([][]byte{r.Data})
		p.leave(s.ctx, true)
		s.replace(one)
	default:
		p.spoken()
		s.giveBack(one)
		in.Reply([][]byte{r.Data})
	}
	return true
}

// replace boots a process in place of one that is gone, and gives the slot back.
func (s *slots) replace(one *slot) {
	s.mu.Lock()
	leaving := s.leaving
	s.mu.Unlock()
	if !leaving {
		_ = s.boot(one) // the next call tries again, and gets the error
	}
	s.giveBack(one)
}

// leave has nothing booted that no call needs.
func (s *slots) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaving = true
}

// end has all processes go: with drain as their parents' runners do, without it at once. They are gone when ctx
// ends, at the latest.
func (s *slots) end(ctx context.Context, drain bool) {
	s.mu.Lock()
	s.over, s.leaving = true, true
	s.mu.Unlock()
	s.cancel()
	s.boots.Wait()
	var wg sync.WaitGroup
	s.mu.Lock()
	for _, one := range s.all {
		if p := one.own; p != nil {
			wg.Go(func() { p.leave(ctx, drain) })
		}
	}
	s.mu.Unlock()
	wg.Wait()
}

// stacks returns those of a call, from the process that has it, or those of this process.
func (s *slots) stacks(in *session.Incoming) []byte {
	if in == nil {
		return stacks(nil)
	}
	s.mu.Lock()
	all := make([]*own, 0, len(s.all))
	for _, one := range s.all {
		if one.own != nil {
			all = append(all, one.own)
		}
	}
	s.mu.Unlock()
	for _, p := range all {
		if text := p.where(in); text != nil {
			return text
		}
	}
	return nil
}

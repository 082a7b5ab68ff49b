package runner

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/internal/dialback"
	"github.com/fleetinglambda/flame/internal/image"
	"github.com/fleetinglambda/flame/internal/session"
)

// Invite is what a parent tells a runner in the environment variable backend.EnvParent.
type Invite struct {
	Parent  string           `json:"parent"`
	Pool    string           `json:"pool"`
	Runner  string           `json:"runner"`
	Backend string           `json:"backend"`
	Ticket  *dialback.Ticket `json:"-"` // for a runner that dials; nil: it has inherited its connection
}

// written is an Invite as it travels.
type written struct {
	Invite
	Ticket json.RawMessage `json:"ticket,omitempty"`
}

// Variable returns the environment entry that carries the invite.
func (i Invite) Variable() string {
	w := written{Invite: i}
	if i.Ticket != nil {
		w.Ticket = i.Ticket.Written()
	}
	text, err := json.Marshal(w)
	if err != nil { // strings always can
		panic(err)
	}
	return backend.EnvParent + "=" + string(text)
}

// Invited returns the invite that this process was started with. The variable is gone from the environment
// afterwards, so that no process started from here takes itself for a runner.
var Invited = sync.OnceValues(func() (Invite, error) {
	var i Invite
	text, ok := os.LookupEnv(backend.EnvParent)
	if !ok {
		return i, errNotInvited
	}
	_ = os.Unsetenv(backend.EnvParent)
	if err := TrustEnvironment(); err != nil {
		fmt.Fprintf(os.Stderr, "flame: %s is ignored: %v\n", backend.EnvParent, err)
		return i, errNotInvited
	}
	return readInvite(text)
})

func readInvite(text string) (i Invite, err error) {
	var w written
	err = json.Unmarshal([]byte(text), &w)
	if i = w.Invite; err == nil && w.Ticket != nil {
		i.Ticket, err = dialback.Read(w.Ticket)
	}
	if err != nil || i.Runner == "" {
		return i, fmt.Errorf("%s is not an invite from a flame parent", backend.EnvParent)
	}
	return i, nil
}

// errNotInvited means that this process is not a runner.
var errNotInvited = errors.New("not a runner")

// Invitation says whether this process is a runner; an error means that it was meant to be one and cannot.
func Invitation() (Invite, bool, error) {
	i, err := Invited()
	if err == errNotInvited {
		return i, false, nil
	}
	return i, err == nil, err
}

const (
	// joinTimeout is how long a runner tries to reach its parent before it gives up.
	joinTimeout = 20 * time.Second
	// cleanupTime is how long cleanup functions have on a runner that was drained or told to stop.
	cleanupTime = 5 * time.Second
	// orphanTime is how long they have when the parent is gone.
	orphanTime = 500 * time.Millisecond
	// maxStack ends a runaway recursion within milliseconds; Go's own limit of 1 GB takes seconds to reach.
	maxStack = 64 << 20
)

// Main serves as the runner that the invite names, runs cleanup and returns the exit code, which is 0 if its parent had it leave
// or is gone. The process is to
// exit with it at once: functions that ignore their ended context may still run.
func Main(i Invite, cleanup []func(context.Context)) int {
	parent := os.Getppid()
	debug.SetMaxStack(maxStack)
	offer("self", runnerScore)
	stop := make(chan os.Signal, 2)
	signal.Notify(stop, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(context.Background(), joinTimeout)
	j, err := i.accept(ctx)
	cancel()
	if err != nil {
		return i.complain(err)
	}
	j.logThere()
	var wg sync.WaitGroup
	wg.Go(func() { obey(j, stop) })
	if os.Getpid() == 1 {
		wg.Go(adopt)
	}
	left := cleanupTime
	err = j.Serve()
	if err != nil {
		left = orphanTime
		j.finish()
	}
	ctx, cancel = context.WithTimeout(context.Background(), left)
	defer cancel()
	var last sync.WaitGroup
	last.Go(func() { j.End(ctx, err == nil) })
	clean(cleanup, left)
	last.Wait()
	code := 0
	if session.Abandoned(err) {
		code = i.complain(err)
	}
	if err != nil {
		endGroup(parent)
	}
	return code
}

// accept connects to the parent and joins it. SIGTERM ends it until it is about to say that it is ready: from then on the parent may
// send calls, which are to be finished.
func (i Invite) accept(ctx context.Context) (*Joined, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	told, ready := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(told, syscall.SIGTERM)
	defer signal.Stop(told)
	var listen sync.WaitGroup
	defer listen.Wait()
	defer cancel(nil)
	listen.Go(func() {
		select {
		case <-told:
			cancel(errTerminated)
		case <-ready:
		case <-ctx.Done():
		}
	})
	conn, err := i.connect(ctx)
	if err != nil {
		return nil, err
	}
	return join(ctx, conn, i.Runner, func(build string, w session.Welcome) (s *slots, err error) {
		if w.Slots > 0 {
			s, err = newSlots(ctx, i, build, w)
		}
		close(ready)
		listen.Wait()
		return s, cmp.Or(err, context.Cause(ctx))
	})
}

// errTerminated is why a runner has not joined.
var errTerminated = errors.New("it was told to end by SIGTERM")

// connect returns the connection that this process was born with, or dials the parent.
func (i Invite) connect(ctx context.Context) (io.ReadWriteCloser, error) {
	if i.Ticket == nil {
		return inherited()
	}
	im, err := image.Self()
	if err != nil {
		return nil, err
	}
	return dialback.Dial(ctx, i.Ticket, dialback.Claims{Runner: i.Runner, Pool: i.Pool, Build: im.Build()})
}

// obey has the runner leave when it gets SIGTERM. The second one ends it as if it had never been caught.
func obey(j *Joined, stop <-chan os.Signal) {
	<-stop
	j.Leave()
	<-stop
	if os.Getpid() == 1 { // whom no signal ends that it does not catch
		os.Exit(128 + int(syscall.SIGTERM))
	}
	signal.Reset(syscall.SIGTERM)
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		_ = self.Signal(syscall.SIGTERM) // nothing more can be done
	}
}

// complain says why this process does not serve. That its parent has left meanwhile is no fault of its own.
func (i Invite) complain(err error) int {
	if errors.Is(err, session.ErrHungUp) {
		err = fmt.Errorf("runner %s: its parent has left while it booted: there is nothing to do", i.Runner)
	}
	fmt.Fprintln(os.Stderr, "flame:", err)
	return 1
}

// clean runs the cleanup functions one after another, all of them within limit.
func clean(cleanup []func(context.Context), limit time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(done)
		for _, f := range cleanup {
			f(ctx)
		}
	})
	select {
	case <-done:
	case <-ctx.Done():
	}
}

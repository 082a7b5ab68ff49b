package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/fleetinglambda/flame/internal/codec"
	"github.com/fleetinglambda/flame/internal/image"
	"github.com/fleetinglambda/flame/internal/lend"
	"github.com/fleetinglambda/flame/internal/session"
)

// Join introduces this process to its parent over conn as runner id. The parent's own process serves that way: it
// cannot run calls in processes of their own.
func Join(ctx context.Context, conn io.ReadWriteCloser, id string) (*Joined, error) {
	return join(ctx, conn, id, func(_ string, w session.Welcome) (*slots, error) {
		if w.Slots == 0 {
			return nil, nil
		}
		return nil, errors.New("a runner inside its parent's process cannot give each call a process of its own: use another backend, or let calls share their runner")
	})
}

// join also says what is made ready once the parent has said what it wants: slots, or nil.
func join(ctx context.Context, conn io.ReadWriteCloser, id string, make func(build string, w session.Welcome) (*slots, error)) (*Joined, error) {
	im, err := image.Self()
	if err != nil {
		conn.Close()
		return nil, err
	}
	j := new(Joined)
	j.server, err = session.Join(ctx, conn, session.Hello{Runner: id, Build: im.Build(), PID: os.Getpid()},
		func(w session.Welcome) error {
			j.limit, j.patience, j.level = w.Message, w.Finish, w.Level
			err := hasNames(w.Names)
			if err == nil {
				j.slots, err = make(im.Build(), w)
			}
			return err
		})
	if err != nil {
		j.End(ctx, false)
		return nil, fmt.Errorf("runner %s: %w", id, err)
	}
	j.server.Stacks, j.server.Cause, j.server.Room = stacks, lend.ReadCause, codec.Room
	if j.slots != nil {
		j.server.Stacks = j.slots.stacks
		j.slots.server.Store(j.server)
	}
	return j, nil
}

// Joined is a runner that its parent has taken in.
type Joined struct {
	server *session.Server
	slots  *slots // nil: calls run in this process
	limit  int64
	left   lend.Leftovers
	level  slog.Level // the lowest that the parent takes

	staying  residents
	patience time.Duration // with detached calls, when the parent is gone
}

// Serve answers calls until the session is over. It returns nil if the parent had the runner drained. Functions
// that ignore their ended context may still run when it returns.
func (j *Joined) Serve() error {
	if j.slots != nil {
		return j.server.Serve(j.slots.answer)
	}
	return j.server.Serve(func(in *session.Incoming) {
		if in.Resident() {
			j.staying.keep(in, &j.left)
			return
		}
		answer(in.Mark(), in, j)
	})
}

// finish waits, when the parent is gone, until detached calls are over, or have had the time that they may take.
func (j *Joined) finish() {
	ctx, cancel := context.WithTimeout(context.Background(), j.patience)
	defer cancel()
	j.server.Finish(ctx)
}

// Leave tells the parent that this runner takes no more calls. Serve returns when those it has are over.
func (j *Joined) Leave() {
	if j.slots != nil {
		j.slots.leave()
	}
	j.server.Leave()
}

// End ends the processes that calls had for themselves, if there are any: drained as the runner was, or at once. They
// are gone when ctx ends, at the latest.
func (j *Joined) End(ctx context.Context, drained bool) {
	j.left.End()
	if j.slots != nil {
		j.slots.end(ctx, drained)
	}
}

// Close ends the session; Serve returns.
func (j *Joined) Close() { j.server.Close() }

// Wait returns when no function of this runner runs any more.
func (j *Joined) Wait() { j.server.Wait() }

// Names are the PerProcess names of this process, as a parent expects them of its runners.
func Names() []session.Name {
	var names []session.Name
	for _, n := range codec.Names() {
		names = append(names, session.Name(n))
	}
	return names
}

// hasNames says which of the parent's PerProcess names this process lacks.
func hasNames(want []session.Name) error {
	have := make(map[string]string)
	for _, n := range codec.Names() {
		have[n.Name] = n.Type
	}
	for _, n := range want {
		switch t, ok := have[n.Name]; {
		case !ok:
			return fmt.Errorf("PerProcess(%q) is missing on the runner: call it in main before ServeIfRunner, on every path", n.Name)
		case t != n.Type:
			return fmt.Errorf("PerProcess(%q) is a %s on the parent and a %s on the runner", n.Name, n.Type, t)
		}
	}
	return nil
}

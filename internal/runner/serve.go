package runner

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/fleetinglambda/flame/internal/codec"
	"github.com/fleetinglambda/flame/internal/image"
	"github.com/fleetinglambda/flame/internal/session"
)

// Join introduces this process to its parent over conn as runner id.
func Join(ctx context.Context, conn io.ReadWriteCloser, id string) (*Joined, error) {
	im, err := image.Self()
	if err != nil {
		conn.Close()
		return nil, err
	}
	j := new(Joined)
	j.server, err = session.Join(ctx, conn, session.Hello{Runner: id, Build: im.Build(), PID: os.Getpid()},
		func(w session.Welcome) error {
			j.limit = w.Message
			return hasNames(w.Names)
		})
	if err != nil {
		return nil, fmt.Errorf("runner %s: %w", id, err)
	}
	return j, nil
}

// Joined is a runner that its parent has taken in.
type Joined struct {
	server *session.Server
	limit  int64
}

// Serve answers calls until the session is over. It returns nil if the parent had the runner drained. Functions
// that ignore their ended context may still run when it returns.
func (j *Joined) Serve() error {
	return j.server.Serve(func(in *session.Incoming) { answer(in, j.limit) })
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

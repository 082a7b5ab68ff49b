//go:build unix

package main

import (
	"context"
	"io"
	"math/rand/v2"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/fleetinglambda/flame/backend"
)

// harmed is a backend whose runners come to harm.
type harmed struct {
	backend.Backend
	line *line // that runners dial; nil if they inherit a socket

	wg   sync.WaitGroup
	mu   sync.Mutex // guards what follows
	pids map[int]<-chan struct{}
}

// Boot boots a process and remembers it.
func (h *harmed) Boot(ctx context.Context, spec backend.Spec) (backend.Instance, error) {
	i, err := h.Backend.Boot(ctx, spec)
	if err != nil {
		return nil, err
	}
	pid, err := strconv.Atoi(i.ID())
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.pids == nil {
		h.pids = make(map[int]<-chan struct{})
	}
	h.pids[pid] = i.Done()
	return i, nil
}

// dialled boots processes that dial their parent, through the line.
type dialled struct{ *harmed }

// Address has runners dial the line.
func (d dialled) Address(context.Context) (listen, dial string, err error) {
	return d.line.to, d.line.Addr().String(), nil
}

// Boot hides the socket that the process inherited.
func (d dialled) Boot(ctx context.Context, spec backend.Spec) (backend.Instance, error) {
	i, err := d.harmed.Boot(ctx, spec)
	if err != nil {
		return nil, err
	}
	i.(interface{ Conn() io.ReadWriteCloser }).Conn().Close()
	return struct{ backend.Teller }{i.(backend.Teller)}, nil
}

// one returns a process that lives, or 0.
func (h *harmed) one(r *rand.Rand) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	var alive []int
	for pid, done := range h.pids {
		select {
		case <-done:
			delete(h.pids, pid)
		default:
			alive = append(alive, pid)
		}
	}
	if len(alive) == 0 {
		return 0
	}
	return alive[r.IntN(len(alive))]
}

// harm does some harm and returns its name.
func (h *harmed) harm(ctx context.Context, r *rand.Rand) string {
	pid := h.one(r)
	long := time.Duration(r.Int64N(int64(20 * time.Second)))
	switch kind := r.IntN(6); {
	case pid == 0:
		return "nothing to harm"
	case kind == 0:
		_ = syscall.Kill(pid, syscall.SIGTERM)
		return "SIGTERM"
	case kind == 1:
		h.wg.Go(func() {
			_ = syscall.Kill(pid, syscall.SIGSTOP)
			select {
			case <-time.After(long):
			case <-ctx.Done():
			}
			_ = syscall.Kill(pid, syscall.SIGCONT)
		})
		if long < 15*time.Second {
			return "SIGSTOP"
		}
		return "SIGSTOP beyond 15 s"
	case kind == 2 && h.line != nil:
		h.line.cut(r.IntN(1 << 16))
		return "connections cut"
	case kind == 3 && h.line != nil:
		h.line.stall(long)
		return "line stalled"
	default:
		_ = syscall.Kill(pid, syscall.SIGKILL)
		return "SIGKILL"
	}
}

// end waits until no harm is under way.
func (h *harmed) end() {
	h.wg.Wait()
	if h.line != nil {
		h.line.end()
	}
}

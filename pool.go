package flame

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/internal/codec"
	"github.com/fleetinglambda/flame/internal/dialback"
	"github.com/fleetinglambda/flame/internal/image"
	"github.com/fleetinglambda/flame/internal/lend"
	"github.com/fleetinglambda/flame/internal/pool"
	"github.com/fleetinglambda/flame/internal/runner"
	"github.com/fleetinglambda/flame/internal/session"
)

// Pool is a bounded, elastic set of runners. Its methods may be called by several goroutines at once.
type Pool struct {
	config Config
	build  string
	parent string
	pool   *pool.Pool
	warned sync.Map           // by warning: those that were given
	guests *dialback.Listener // of a backend whose runners dial; else nil
	output output             // of runners
	end    func()             // of what lookAfter has begun

	wg   sync.WaitGroup // what calls do besides, see goOn
	mu   sync.Mutex     // guards over
	over bool           // nothing is begun in wg any more

	mappings atomic.Uint64 // that were begun
	loops    loops         // those that go on
}

// Open opens a pool and boots its Min runners, up to ten at a time, before it returns. It fails with the cause if one
// of them does not come up, if the Config is wrong, or if [ServeIfRunner] has not been called. ctx bounds
// Open only. The pool is to be closed with [Pool.Shutdown] or [Pool.Close].
func Open(ctx context.Context, cfg Config) (*Pool, error) {
	_, onRunner := Parent()
	cfg, err := cfg.complete(onRunner)
	if err != nil {
		return nil, err
	}
	if _, local := cfg.Backend.(backend.Local); !local {
		if err := canBoot(); err != nil {
			return nil, err
		}
	}
	im, err := image.Self()
	if err != nil {
		return nil, fmt.Errorf("flame: pool %q: %w", cfg.Name, err)
	}
	p := &Pool{config: cfg, build: im.Build(), parent: parentID()}
	p.output.pool = p
	inner, err := p.settings()
	if err != nil {
		return nil, err
	}
	if _, dialled := cfg.Backend.(backend.Networked); dialled {
		if p.guests, err = dialback.New(cfg.Name, cfg.ResumeWindow); err != nil {
			return nil, fmt.Errorf("flame: pool %q: %w", cfg.Name, err)
		}
	}
	if p.pool, err = pool.Open(ctx, inner); err != nil {
		p.finish()
		return nil, atRim(cfg.Name, err)
	}
	p.lookAfter()
	return p, nil
}

// lookAfter begins what goes on beside calls, until finish.
func (p *Pool) lookAfter() {
	var ctx context.Context
	ctx, p.end = context.WithCancel(context.Background())
	if b, ok := p.config.Backend.(backend.Reaper); ok {
		p.wg.Go(func() { p.reap(ctx, b) })
	}
}

// finish waits, when the pool inside is closed, until nothing is left of this one.
func (p *Pool) finish() {
	if p.end != nil {
		p.end()
	}
	if p.guests != nil {
		p.guests.Close()
	}
	p.mu.Lock()
	p.over = true
	p.mu.Unlock()
	p.wg.Wait()
	p.output.end()
}

// settings makes of the Config what the pool inside needs.
func (p *Pool) settings() (pool.Config, error) {
	c := p.config
	s := pool.Config{
		Name: c.Name, Backend: c.Backend, Min: c.Min, Max: c.Max, MaxConcurrency: c.MaxConcurrency, SingleUse: c.SingleUse,
		BootTimeout: c.BootTimeout, ShutdownTimeout: c.ShutdownTimeout,
		IdleShutdownAfter: c.IdleShutdownAfter, MinIdleShutdownAfter: c.MinIdleShutdownAfter, MaxRunnerAge: c.MaxRunnerAge,
		Headroom: c.Headroom, MaxQueue: c.MaxQueue, MaxQueueBytes: c.MaxQueueBytes,
		Spec: p.spec, Join: p.join, Leaving: (*session.Session).Leaving, Lost: runner.WasLost, Cause: lend.PackCause, Logger: c.Logger,
	}
	if c.Isolation == Shared { // else the runner sees to it
		s.KillGrace = c.KillGrace
	}
	p.output.attach(&s)
	if err := c.checkPropagate(); err != nil {
		return s, err
	}
	if c.OnEvent != nil {
		s.OnEvent = p.teller(c.OnEvent)
	}
	if c.IdleCheck != nil {
		var err error
		if s.IdleCheck, err = idleCheck(c); err != nil {
			return s, err
		}
	}
	return s, nil
}

// canBoot says why copies of this program would not serve: they would run main as parents, and boot copies in turn.
func canBoot() error {
	if !serving.Load() {
		return ErrNotServing
	}
	if err := runner.TrustEnvironment(); err != nil {
		return fmt.Errorf("flame: runners would ignore what their parent tells them: %w: use backend/inproc, or drop the rights before the program starts", err)
	}
	return nil
}

// Shutdown closes the pool: new calls get [ErrPoolClosed], waiting and running ones may end, then the runners
// leave. If ctx ends first, what still runs is cut off as by Close. When it returns, no runner is left. It
// may be called twice and together with Close.
func (p *Pool) Shutdown(ctx context.Context) error {
	defer p.finish()
	return p.outcome(p.pool.Shutdown(ctx))
}

// Close closes the pool at once: waiting calls get [ErrPoolClosed], running ones a [RunnerLostError]. When it
// returns, no runner is left. It may be called twice.
func (p *Pool) Close() error {
	defer p.finish()
	return p.outcome(p.pool.Close())
}

// Resize changes how many runners there are at least and at most. Runners that are too many take no more calls and leave when
// they have none; what is missing to Min is booted, and Resize does not wait for it.
func (p *Pool) Resize(least, most int) error {
	err := p.pool.Resize(least, most)
	p.resized()
	if err == nil || errors.Is(err, pool.ErrClosed) {
		return atRim(p.config.Name, err)
	}
	return fmt.Errorf("flame: pool %q: %w", p.config.Name, err)
}

// goOn runs f, and Close waits for it. What comes when Close has waited is done here.
func (p *Pool) goOn(f func()) {
	p.mu.Lock()
	over := p.over
	if !over {
		p.wg.Go(f)
	}
	p.mu.Unlock()
	if over {
		f()
	}
}

func (p *Pool) outcome(err error) error {
	if err != nil {
		return fmt.Errorf("flame: close pool %q: %w", p.config.Name, err)
	}
	return nil
}

// parentID names this process among those that may have booted something.
func parentID() string {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return fmt.Sprintf("%s-%d", host, os.Getpid())
}

// spec says what to boot: this very executable, with our arguments, environment and working directory.
func (p *Pool) spec(ctx context.Context, id string) (backend.Spec, error) {
	invite := runner.Invite{Parent: p.parent, Pool: p.config.Name, Runner: id, Backend: fmt.Sprintf("%T", p.config.Backend)}
	if b, dialled := p.config.Backend.(backend.Networked); dialled {
		listen, dial, err := b.Address(ctx)
		if err != nil {
			return backend.Spec{}, fmt.Errorf("find the address that runners dial: %w", err)
		}
		if invite.Ticket, err = p.guests.Expect(ctx, id, listen, dial); err != nil {
			return backend.Spec{}, err
		}
	}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, backend.EnvParent+"=") })
	return backend.Spec{
		ID: id, Pool: p.config.Name, Parent: p.parent,
		Path: image.Path, Args: os.Args, Env: append(env, invite.Variable()), Output: p.output.of(id),
		Labels: map[string]string{"flame.parent": p.parent, "flame.pool": p.config.Name, "flame.runner": id},
	}, nil
}

// join takes a booted runner in, once it has proved to be the one we booted and of our build.
func (p *Pool) join(ctx context.Context, id string, inst backend.Instance) (*session.Session, error) {
	conn, err := p.connection(ctx, id, inst)
	if err != nil {
		return nil, err
	}
	limits := session.DefaultLimits
	limits.Room = codec.Room
	limits.Message = p.config.MessageLimit
	raw, _ := inst.(interface{ Raw() bool }) // its output does not go to Spec.Output
	s, err := session.Accept(ctx, conn, id, session.Welcome{
		Build: p.build, Names: runner.Names(), Message: limits.Message, Silence: limits.Silence,
		Level: lend.LevelOf(context.Background(), p.config.Logger.Handler()),
		Slots: p.config.slots(), Plain: raw != nil && raw.Raw(), Grace: p.config.KillGrace, Finish: p.config.ShutdownTimeout,
	}, limits)
	if err == nil {
		s.Hear(p.output.of(id).hear)
	}
	return s, err
}

// connection returns that to a booted runner: the one it brings, or the one it makes.
func (p *Pool) connection(ctx context.Context, id string, inst backend.Instance) (io.ReadWriteCloser, error) {
	with, brings := inst.(backend.Connected)
	switch {
	case !brings && p.guests == nil:
		return nil, fmt.Errorf("the instances of %T bring no connection (backend.Connected), and it does not say what runners dial (backend.Networked)", p.config.Backend)
	case !brings:
		l, err := p.guests.Wait(ctx, id, inst.Done())
		if err == nil {
			p.goOn(func() { // until the boot is over; then the pool inside looks after it
				select {
				case <-inst.Done():
					l.Final()
				case <-ctx.Done():
				}
			})
		}
		return l, err
	}
	conn := with.Conn()
	if file, ok := conn.(*os.File); ok {
		return session.Socket(file)
	}
	return conn, nil
}

var _ io.Closer = (*Pool)(nil)

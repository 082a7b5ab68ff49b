package flame

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/backend/process"
)

// Config says what a pool is like. The zero value is a pool of at most one runner, a process on this machine.
type Config struct {
	// Name stands in logs and errors. Default: the program's name.
	Name string
	// Backend boots the runners. Default: processes of this program on this machine, see backend/process.
	Backend backend.Backend
	// Min is how many runners are always up; Open boots them. Default 0: the pool scales to zero.
	// In a process that is itself a runner it counts as 0.
	Min int
	// Max is how many runners there are at most, booting and leaving ones included. Default: Min, at least 1.
	Max int
	// MaxConcurrency is how many calls a runner has at a time. Default 100; with PerCall runtime.GOMAXPROCS.
	MaxConcurrency int
	// SingleUse has a runner serve one call and leave.
	SingleUse bool
	// Isolation says what calls on one runner share. Default Shared.
	Isolation Isolation
	// Timeout bounds a Call, Run or Start, waiting and running together. Default 30 s; negative: no bound.
	Timeout time.Duration
	// BootTimeout bounds the boot of a runner, until it is ready for calls. Default 30 s.
	BootTimeout time.Duration
	// ShutdownTimeout bounds how long a runner that is told to leave may take before it is killed. Default 30 s.
	ShutdownTimeout time.Duration
	// KillGrace is how long a function may ignore that its context has ended. Then, with Shared, its runner takes no more
	// calls, lets the others finish for ShutdownTimeout, and is killed; with PerCall the call's own process is killed, and
	// nothing else. Default 5 s.
	KillGrace time.Duration
	// IdleShutdownAfter is how long a runner beyond Min may be without a call before it leaves. Default 30 s;
	// negative: it stays.
	IdleShutdownAfter time.Duration
	// MinIdleShutdownAfter is the same for the Min runners. They come back with the next call. Default 0: they stay.
	MinIdleShutdownAfter time.Duration
	// IdleCheck, if not nil, is asked on a runner that is to leave because it is idle; false keeps it until it has been
	// idle for as long once more. It crosses like the function of a call.
	IdleCheck func() bool
	// ResumeWindow is how long a runner that dials its parent may take to dial again when its connection has broken, or said
	// nothing for 5 s: its calls go on meanwhile, and only then is it lost. Default 10 s. Negative: not at all. A runner
	// that has inherited its connection, as those of backend/process have, is lost with it.
	ResumeWindow time.Duration
	// MaxRunnerAge is how long a runner lives. Then it takes no more calls and is replaced. Default 0: as long as it likes.
	MaxRunnerAge time.Duration
	// Headroom is how many slots are kept free for calls to come, by booting runners ahead, within Max. Default 0.
	Headroom int
	// MaxQueue is how many calls may wait; beyond it a call gets [ErrQueueFull] at once. Default 10,000.
	MaxQueue int
	// MaxQueueBytes bounds what waiting calls of Start, Cast and Place take up, whose captures are copied. What a
	// waiting Call captured is not copied. Default 256 MiB.
	MaxQueueBytes int64
	// MessageLimit bounds one function with all it captured, and one result, in bytes. Default 1 GiB.
	MessageLimit int64
	// Logger gets a record of every runner's coming and going. Default slog.Default().
	Logger *slog.Logger
	// Propagate, if not nil, takes chosen values of contexts along with calls, such as a trace. It crosses like what a
	// function captures.
	Propagate Propagator
	// OnEvent, if not nil, is told all that happens, from the first boot on; see [Pool.Subscribe].
	OnEvent func(Event)
}

// complete fills in the defaults and checks the Config.
func (c Config) complete(onRunner bool) (Config, error) {
	if c.Name == "" {
		c.Name = filepath.Base(os.Args[0])
	}
	if c.Backend == nil {
		c.Backend = process.New(process.Options{})
	}
	if c.Max == 0 {
		c.Max = max(1, c.Min)
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.SingleUse {
		orDefault(&c.MaxConcurrency, 1)
	}
	if c.Isolation == PerCall {
		orDefault(&c.MaxConcurrency, runtime.GOMAXPROCS(0))
	}
	orDefault(&c.MaxConcurrency, 100)
	orDefault(&c.Timeout, 30*time.Second)
	orDefault(&c.BootTimeout, 30*time.Second)
	orDefault(&c.ShutdownTimeout, 30*time.Second)
	orDefault(&c.IdleShutdownAfter, 30*time.Second)
	orDefault(&c.KillGrace, 5*time.Second)
	orDefault(&c.ResumeWindow, 10*time.Second)
	orDefault(&c.MaxQueue, 10_000)
	orDefault(&c.MaxQueueBytes, 256<<20)
	orDefault(&c.MessageLimit, 1<<30)
	err := c.check()
	if onRunner {
		c.Min = 0
	}
	return c, err
}

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// check reports all that is wrong, each by its field.
func (c Config) check() error {
	var errs []error
	wrong := func(is bool, format string, args ...any) {
		if is {
			errs = append(errs, fmt.Errorf("flame: Config."+format, args...))
		}
	}
	wrong(c.Min < 0, "Min is %d: it must be 0 or more", c.Min)
	wrong(c.Max < 0, "Max is %d: it must be 0 (the default) or more", c.Max)
	wrong(c.Max >= 0 && c.Max < c.Min, "Max is %d, less than Min, %d: raise Max or lower Min", c.Max, c.Min)
	wrong(c.MaxConcurrency < 0, "MaxConcurrency is %d: it must be 0 (the default) or more", c.MaxConcurrency)
	wrong(c.SingleUse && c.MaxConcurrency > 1, "MaxConcurrency is %d with SingleUse, where a runner has one call: leave it out", c.MaxConcurrency)
	wrong(c.BootTimeout < 0, "BootTimeout is %v: it must be 0 (the default) or more", c.BootTimeout)
	wrong(c.ShutdownTimeout < 0, "ShutdownTimeout is %v: it must be 0 (the default) or more", c.ShutdownTimeout)
	wrong(c.Isolation != Shared && c.Isolation != PerCall, "Isolation is %d: it is flame.Shared or flame.PerCall", c.Isolation)
	wrong(c.KillGrace < 0, "KillGrace is %v: it must be 0 (the default) or more", c.KillGrace)
	wrong(c.MinIdleShutdownAfter < 0, "MinIdleShutdownAfter is %v: it must be 0 (never) or more", c.MinIdleShutdownAfter)
	wrong(c.MaxRunnerAge < 0, "MaxRunnerAge is %v: it must be 0 (never) or more", c.MaxRunnerAge)
	wrong(c.Headroom < 0, "Headroom is %d: it must be 0 or more", c.Headroom)
	wrong(c.Max > 0 && c.MaxConcurrency > 0 && (c.Headroom-1)/c.MaxConcurrency >= c.Max, "Headroom is %d, more than Max %d runners with %d slots each have: lower it",
		c.Headroom, c.Max, c.MaxConcurrency)
	wrong(c.MaxQueue < 0, "MaxQueue is %d: it must be 0 (the default) or more", c.MaxQueue)
	wrong(c.MaxQueueBytes < 0, "MaxQueueBytes is %d: it must be 0 (the default) or more", c.MaxQueueBytes)
	wrong(c.MessageLimit < 0, "MessageLimit is %d: it must be 0 (the default) or more", c.MessageLimit)
	return errors.Join(errs...)
}

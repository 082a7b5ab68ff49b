package flame

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
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
	// MaxConcurrency is how many calls a runner has at a time. Default 100.
	MaxConcurrency int
	// Timeout bounds a Call, Run or Start, waiting and running together. Default 30 s; negative: no bound.
	Timeout time.Duration
	// BootTimeout bounds the boot of a runner, until it is ready for calls. Default 30 s.
	BootTimeout time.Duration
	// ShutdownTimeout bounds how long a runner that is told to leave may take before it is killed. Default 30 s.
	ShutdownTimeout time.Duration
	// IdleShutdownAfter is how long a runner beyond Min may be without a call before it leaves. Default 30 s;
	// negative: it stays.
	IdleShutdownAfter time.Duration
	// MessageLimit bounds one function with all it captured, and one result, in bytes. Default 1 GiB.
	MessageLimit int64
	// Logger gets a record of every runner's coming and going. Default slog.Default().
	Logger *slog.Logger
}

// complete checks the Config and returns it with its defaults filled in.
func (c Config) complete(onRunner bool) (Config, error) {
	if err := c.check(); err != nil {
		return c, err
	}
	if c.Name == "" {
		c.Name = filepath.Base(os.Args[0])
	}
	if c.Backend == nil {
		c.Backend = process.New(process.Options{})
	}
	if c.Max == 0 {
		c.Max = max(1, c.Min)
	}
	if onRunner {
		c.Min = 0
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	orDefault(&c.MaxConcurrency, 100)
	orDefault(&c.Timeout, 30*time.Second)
	orDefault(&c.BootTimeout, 30*time.Second)
	orDefault(&c.ShutdownTimeout, 30*time.Second)
	orDefault(&c.IdleShutdownAfter, 30*time.Second)
	orDefault(&c.MessageLimit, 1<<30)
	return c, nil
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
	wrong(c.Max > 0 && c.Max < c.Min, "Max is %d, less than Min, %d: raise Max or lower Min", c.Max, c.Min)
	wrong(c.MaxConcurrency < 0, "MaxConcurrency is %d: it must be 0 (the default) or more", c.MaxConcurrency)
	wrong(c.BootTimeout < 0, "BootTimeout is %v: it must be 0 (the default) or more", c.BootTimeout)
	wrong(c.ShutdownTimeout < 0, "ShutdownTimeout is %v: it must be 0 (the default) or more", c.ShutdownTimeout)
	wrong(c.MessageLimit < 0, "MessageLimit is %d: it must be 0 (the default) or more", c.MessageLimit)
	return errors.Join(errs...)
}

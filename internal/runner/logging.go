package runner

import (
	"context"
	"log"
	"log/slog"
	"os"

	"github.com/fleetinglambda/flame/internal/lend"
)

// logThere has slog.Default tell the parent what is logged. Package log goes on to write where it wrote: what it says
// before it ends the process must not be lost.
func (j *Joined) logThere() {
	to, flags := log.Writer(), log.Flags()
	slog.SetDefault(slog.New(lend.NewHandler(j.server, j.level, onStderr()))) // it takes package log along
	log.SetOutput(to)
	log.SetFlags(flags)
}

func onStderr() slog.Handler { return slog.NewTextHandler(os.Stderr, nil) }

// logHere logs a record that another process has told.
func logHere(told []byte) {
	t, err := lend.ReadTold(told)
	if err != nil {
		return
	}
	if r, ok := t.Record(); ok {
		_ = onStderr().Handle(context.Background(), r) // there is nowhere else
	}
}

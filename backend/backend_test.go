package backend_test

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/fleetinglambda/flame/backend"
)

func TestN14_AnEndIsToldInWords(t *testing.T) {
	for want, end := range map[string]*backend.ExitError{
		"exit code 3":                         {Code: 3},
		"exit code 0":                         {},
		"killed by signal: terminated":        {Code: -1, Signal: syscall.SIGTERM},
		"killed because it ran out of memory": {Code: -1, Signal: syscall.SIGKILL, OOM: true},
	} {
		var exit *backend.ExitError
		if err := fmt.Errorf("runner r-1: %w", end); !errors.As(err, &exit) || exit.Error() != want {
			t.Errorf("%v instead of %q", err, want)
		}
	}
}

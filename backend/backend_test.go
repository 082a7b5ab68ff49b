package backend_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/fleetinglambda/flame/backend"
)

func TestT11_OnlyWhatIsNamedGoesAlong(t *testing.T) {
	spec := backend.Spec{Env: []string{"A=1", "AWS_KEY=k=v", "AWS=2", "SECRET=s", backend.EnvParent + "=invite", "B=3"}}
	for _, c := range []struct{ names, want []string }{
		{nil, []string{backend.EnvParent + "=invite"}},
		{[]string{"A", "AWS_*"}, []string{"A=1", "AWS_KEY=k=v", backend.EnvParent + "=invite"}},
		{[]string{"*"}, spec.Env},
	} {
		if got := spec.Allowed(c.names...); !slices.Equal(got, c.want) {
			t.Errorf("%q let %q along", c.names, got)
		}
	}
}

func TestT05_ASpecDoesNotPrintItsEnvironment(t *testing.T) {
	spec := backend.Spec{ID: "r-1", Path: "/bin/app", Env: []string{"TOKEN=hunter2"}}
	var logged strings.Builder
	log := slog.New(slog.NewJSONHandler(&logged, nil))
	log.Info("boot", "spec", spec)
	for _, text := range []string{fmt.Sprint(spec), fmt.Sprintf("%+v", &spec), fmt.Sprintf("%#v", spec), fmt.Sprintf("%q", []backend.Spec{spec}), logged.String()} {
		if strings.Contains(text, "hunter2") || !strings.Contains(text, "r-1") {
			t.Error(text)
		}
	}
}

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

//go:build linux

package flame_test

import (
	"context"
	"flag"
	"io"
	"testing"

	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/backend/backendtest"
	"github.com/fleetinglambda/flame/backend/process"
)

// network has the runners of these tests dial their parent, as those on other machines do.
var network = flag.Bool("network", false, "runners dial their parent over TLS instead of inheriting a socket")

// processes returns the backend of these tests.
func processes(output io.Writer) backend.Backend {
	b := process.New(process.Options{Output: output})
	if *network {
		return dialling{b}
	}
	return b
}

// dialling boots processes of this machine that have to dial their parent.
type dialling struct{ backend.Backend }

func (dialling) Address(context.Context) (listen, dial string, err error) {
	return "127.0.0.1:0", "127.0.0.1", nil
}

func (d dialling) Boot(ctx context.Context, spec backend.Spec) (backend.Instance, error) {
	i, err := d.Backend.Boot(ctx, spec)
	if err != nil {
		return nil, err
	}
	i.(backend.Connected).Conn().Close()
	return struct{ backend.Teller }{i.(backend.Teller)}, nil
}

func TestF15_ABackendWhoseRunnersDialPassesTheSuite(t *testing.T) {
	backendtest.Run(t, func(*testing.T) backend.Backend { return dialling{process.New(process.Options{})} })
}

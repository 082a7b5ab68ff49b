package inproc_test

import (
	"testing"

	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/backend/backendtest"
	"github.com/fleetinglambda/flame/backend/inproc"
)

func TestF15_InprocKeepsTheContract(t *testing.T) {
	backendtest.Run(t, func(*testing.T) backend.Backend { return inproc.New() })
}

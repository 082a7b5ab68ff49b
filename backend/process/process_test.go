package process_test

import (
	"os"
	"testing"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/backend/backendtest"
	"github.com/fleetinglambda/flame/backend/process"
)

func TestMain(m *testing.M) {
	if group := os.Getenv(groupVariable); group != "" {
		groupProgram(group)
		os.Exit(0)
	}
	flame.ServeIfRunner()
	os.Exit(m.Run())
}

func TestF15_ProcessKeepsTheContract(t *testing.T) {
	backendtest.Run(t, func(*testing.T) backend.Backend { return process.New(process.Options{}) })
}

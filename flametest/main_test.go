package flametest_test

import (
	"testing"

	"github.com/fleetinglambda/flame/flametest"
)

func TestMain(m *testing.M) { flametest.Main(m) }

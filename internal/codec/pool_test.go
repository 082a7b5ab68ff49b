package codec_test

import (
	"strings"
	"testing"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/internal/codec"
)

func TestN17_APoolIsRefusedWithAWayOut(t *testing.T) {
	var pool *flame.Pool
	server := struct {
		name string
		pool *flame.Pool
	}{"s", new(flame.Pool)}
	captured, field := func() bool { return pool == nil }, func() bool { return server.pool == nil }
	for path, fn := range map[string]*func() bool{"captured *flame.Pool: ": &captured, " → .pool (*flame.Pool): ": &field} {
		err := codec.Check(fn)
		if err == nil || !strings.Contains(err.Error(), path+"a pool belongs to its parent: return what is to be called next, or open one inside the function") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

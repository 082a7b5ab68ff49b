package bench

import (
	"testing"
	"time"
)

// TestRemotes sees to it that what is compared does what it is compared for.
func TestRemotes(t *testing.T) {
	for name, dial := range map[string]func(testing.TB) remote{
		"raw frames": rawAlone, "blocking": rawBlocking, "with ids": rawShared, "net/rpc": netRPC, "grpc": gRPC,
		"ours": ours,
	} {
		t.Run(name, func(t *testing.T) {
			call := dial(t)
			for range 3 {
				if err := call(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestRemotes_many has many callers on the connections that are made for them.
func TestRemotes_many(t *testing.T) {
	for name, dial := range map[string]func(testing.TB) remote{"with ids": rawShared, "net/rpc": netRPC, "grpc": gRPC, "ours": ours} {
		t.Run(name, func(t *testing.T) {
			if got := rate(t, dial(t), 64, 50*time.Millisecond); got <= 0 {
				t.Errorf("%v calls/s", got)
			}
		})
	}
}

package bench

import "testing"

// ours is a warm pool of one runner.
func ours(tb testing.TB) remote {
	tb.Skip("there is no pool to compare yet")
	return nil
}

// ourRunner returns the process id of a runner that has answered a call.
func ourRunner(tb testing.TB) int {
	tb.Skip("there is no pool to compare yet")
	return 0
}

package flame

// Isolation says what the calls on one runner share.
type Isolation int

const (
	// Shared calls are goroutines of one process.
	Shared Isolation = iota
	// PerCall gives each call a process of its own on its runner for as long as it lasts. A function that ignores its ended
	// context for longer than KillGrace is killed, and one that crashes its process dies, without any other. Up
	// to MaxConcurrency processes are booted as they are needed, each by running main, and used again. What
	// [PerProcess] declares, each has its own of, and each runs the cleanup functions of [ServeIfRunner].
	PerCall
)

// slots is how many processes a runner may keep for calls.
func (c Config) slots() int {
	if c.Isolation == PerCall {
		return c.MaxConcurrency
	}
	return 0
}

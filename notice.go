package flame

import "github.com/fleetinglambda/flame/internal/pool"

// warnChanged warns that a function has changed what it captured.
func (p *Pool) warnChanged(c *pool.Call, changed string) {
	if p.first(c, "changed") {
		p.config.Logger.Warn("flame: what a function changed of its captured variables stays on the runner: return what should come back",
			"pool", p.config.Name, "changed", changed)
	}
}

// Large warns that a message is large.
func (c *sending) Large(size, path, part string) {
	if p := c.pool; p.first(&c.call, "large") {
		p.config.Logger.Warn("flame: a function carries much: is all of it needed there?",
			"pool", p.config.Name, "size", size, "largest", path, "part", part)
	}
}

// first says whether a warning is the first of its kind about a call's function.
func (p *Pool) first(c *pool.Call, kind string) bool {
	_, given := p.warned.LoadOrStore(warning{c.Key, kind}, true)
	return !given
}

// warning is something that a pool warns about once.
type warning struct {
	key  uint64 // of the function, see pool.Call
	kind string
}

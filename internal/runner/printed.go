package runner

import (
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/fleetinglambda/flame/internal/lend"
	"github.com/fleetinglambda/flame/internal/session"
)

// printed takes what the process of a slot writes, and tells the parent each line as one of the call that the process has. What
// it writes without a call this process writes, too.
type printed struct {
	server *atomic.Pointer[session.Server]

	mu      sync.Mutex // guards what follows
	lines   lend.Lines
	in      *session.Incoming // nil: there is no call
	dropped int               // lines since the last one that was told
}

func newPrinted(server *atomic.Pointer[session.Server]) *printed {
	p := &printed{server: server}
	p.lines.Line = p.tell
	return p
}

// Write takes what the process writes. It does not wait for the parent.
func (p *printed) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lines.Write(b)
}

// begin says that the process has a call.
func (p *printed) begin(in *session.Incoming) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines.End() // it was printed before
	p.in = in
}

// end says that it has it no more.
func (p *printed) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines.End()
	if p.in != nil && p.dropped > 0 {
		p.in.Tell(lend.TellLine(nil, 0, p.dropped))
		p.dropped = 0
	}
	p.in = nil
}

// tell tells a line. It is called with the lock.
func (p *printed) tell(line []byte, more int) {
	switch {
	case p.in == nil:
		_, _ = os.Stderr.Write(append(slices.Clip(line), '\n')) // there is nowhere else
	case p.in.Backlog() > maxBacklog:
		p.dropped++
	default:
		p.in.Tell(lend.TellLine(line, more, p.dropped))
		p.dropped = 0
	}
}

// pass tells the parent what the process tells this one.
func (p *printed) pass(told []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch server := p.server.Load(); {
	case p.in == nil && server == nil: // as long as this process has not joined its parent, the other's main may log
		logHere(told)
	case p.in == nil && server.Backlog() <= maxBacklog:
		server.Tell(told)
	case p.in != nil && p.in.Backlog() <= maxBacklog:
		p.in.Tell(told)
	default:
		p.dropped++
	}
}

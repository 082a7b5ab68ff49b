package pool

import "time"

// replay is what somebody knows who only reads the events.
type replay struct {
	failer
	runners map[string]string // the stage of each that is not gone
	began   map[string]time.Duration
	calls   map[uint64]string // the phase of each that is not over
	line    map[int]int       // calls by priority
	counts  map[Kind]uint64
	steps   map[step]bool
	lived   time.Duration
}

// step is one step in the life of a runner or a call.
type step struct {
	from string
	kind Kind
	to   string
}

func newReplay(f failer) *replay {
	return &replay{
		failer: f, runners: map[string]string{}, began: map[string]time.Duration{}, calls: map[uint64]string{},
		line: map[int]int{}, counts: map[Kind]uint64{}, steps: map[step]bool{},
	}
}

// leadsTo is where an event takes a runner or a call.
var leadsTo = map[Kind]string{
	RunnerBooting: "booting", BootFailed: "gone", RunnerUp: "ready", RunnerDraining: "draining", RunnerGone: "gone",
	CallRefused: "over", CallQueued: "waiting", CallLeased: "leased", CallStarted: "running", CallLeft: "left", CallHeld: "held",
	CallMoved: "waiting", CallRetried: "waiting", CallEnded: "over", CallFailed: "over", CallLost: "over",
}

func (p *replay) read(e Event) {
	p.counts[e.Kind]++
	switch {
	case e.Call > 0:
		p.readCall(e)
	case e.Runner != "":
		from := take(p, p.runners, e.Runner, e.Kind)
		switch {
		case leadsTo[e.Kind] == "gone":
			p.lived += e.at - p.began[e.Runner]
		case from == "":
			p.began[e.Runner] = e.at
			fallthrough
		default:
			p.runners[e.Runner] = leadsTo[e.Kind]
		}
	}
}

func (p *replay) readCall(e Event) {
	from, to := take(p, p.calls, e.Call, e.Kind), leadsTo[e.Kind]
	if to != "over" {
		p.calls[e.Call] = to
	}
	if from == "waiting" {
		p.line[e.Priority]--
	}
	if to == "waiting" {
		p.line[e.Priority]++
	}
}

// take records a step and returns from where it goes.
func take[K comparable](p *replay, of map[K]string, k K, kind Kind) string {
	from := of[k]
	delete(of, k)
	p.steps[step{from, kind, leadsTo[kind]}] = true
	return from
}

// agrees compares what was read with what the state says of itself.
func (p *replay) agrees(s Stats, now time.Duration) {
	stages, phases := map[string]int{}, map[string]int{}
	lived := p.lived
	for id, stage := range p.runners {
		stages[stage]++
		lived += now - p.began[id]
	}
	for _, phase := range p.calls {
		phases[phase]++
	}
	if s.Booting != stages["booting"] || s.Ready != stages["ready"] || s.Draining != stages["draining"] || s.RunnerTime != lived {
		p.Fatalf("the events say %v and %v, the stats %+v", stages, lived, s)
	}
	if s.Waiting != phases["waiting"] || s.Running != phases["leased"]+phases["running"]+phases["left"]+phases["held"] || s.Held != phases["held"] {
		p.Fatalf("the events say %v, the stats %+v", phases, s)
	}
	for _, l := range s.Line {
		if p.line[l.Priority] != l.Waiting || l.Waiting == 0 {
			p.Fatalf("the events say %v, the stats %+v", p.line, s.Line)
		}
		phases["waiting"] -= l.Waiting
	}
	n := p.counts
	want := Totals{
		n[RunnerBooting], n[BootFailed], n[RunnerUp], n[RunnerGone], n[CallQueued] + n[CallRefused], n[CallRefused],
		n[CallLeased], n[CallStarted], n[CallEnded], n[CallLeft], n[CallFailed], n[CallLost], n[CallMoved], n[CallRetried], lived,
	}
	if phases["waiting"] != 0 || s.Totals != want {
		p.Fatalf("the events say %+v, the stats %+v", want, s.Totals)
	}
}

package codec

import (
	"errors"
	"unsafe"
)

// What untrusted bytes make is safe to have. It is not yet safe to be asked: a hash function follows interfaces, and a
// method what it likes, without end where they lead back to where they came from, and for ever where every step has two
// ways to the next. So before anything of a message is asked, it is walked through.

const (
	// deepest is how many steps something may lead on. Methods that follow them need a stack.
	deepest = 10_000
	// spare is what a message may cost beyond what its length pays for.
	spare = 1 << 20
	// perByte is how much of it one byte pays for.
	perByte = 64
	// most is more than anything may cost.
	most = 1 << 40
)

// guard is what a decoder has to know for that.
type guard struct {
	size  int   // of the whole message
	spent int64 // what asking has cost: bytes read or made, about
	boxes []row // of interfaces, which have interfaces in them
}

// spend says whether something may be done that costs so much.
func (g *guard) spend(cost int64) bool {
	g.spent += min(cost, most)
	return g.spent <= int64(g.size)*perByte+spare
}

// row is variables in a row, or a map.
type row struct {
	at   unsafe.Pointer
	plan *plan
	n    int // isMap for the map at this address
}

const isMap = -1

// visit is what a walk knows of a row.
type visit struct {
	done  bool // else it is on the way to where the walk is
	depth int
	cost  int64 // to read it and all that it leads to, as often as it leads there
}

// step is a row on the way to where the walk is, and what it leads to: ways[next:end].
type step struct {
	row
	visit
	from, next, end int
}

// walk goes through all that rows lead to, depth first. It ends at an error.
type walk struct {
	everywhere bool              // through pointers, slices and maps too; else only from interface to interface
	finish     func(*step) error // is called for every row after all that it leads to
	visits     map[row]visit
	steps      []step
	ways       []row
}

var (
	errLeadsBack = errors.New("what an interface holds leads back to it")
	errTooDeep   = errors.New("what an interface holds leads on too far")
	errTooCostly = errors.New("what an interface holds leads to the same again and again, too often")
)

// through walks through what a row leads to.
func (w *walk) through(n row) error {
	if w.visits == nil {
		w.visits = make(map[row]visit)
	}
	if w.visits[n].done {
		return nil
	}
	w.enter(n)
	for len(w.steps) > 0 {
		s := &w.steps[len(w.steps)-1]
		if s.next == s.end {
			if err := w.leave(s); err != nil {
				return err
			}
			continue
		}
		next := w.ways[s.next]
		s.next++
		switch v, known := w.visits[next]; {
		case !known && len(w.steps) > deepest:
			return errTooDeep
		case !known:
			w.enter(next)
		case !v.done:
			return errLeadsBack
		default:
			s.add(v)
		}
	}
	return nil
}

func (v *visit) add(of visit) {
	v.depth = max(v.depth, of.depth+1)
	v.cost = min(v.cost+of.cost, most)
}

func (w *walk) enter(n row) {
	w.visits[n] = visit{}
	s := step{row: n, from: len(w.ways), visit: visit{cost: 1}}
	if n.n == isMap {
		en := n.plan.mapping.read(n.plan, n.at)
		w.ways = append(w.ways, row{en.keys, n.plan.mapping.key.get(), en.n}, row{en.elems, n.plan.mapping.elem.get(), en.n})
	} else {
		s.cost += int64(n.plan.size) * int64(n.n)
		w.look(&s, n.plan, n.at, n.n)
	}
	s.next, s.end = s.from, len(w.ways)
	w.steps = append(w.steps, s)
}

func (w *walk) leave(s *step) error {
	if w.finish != nil {
		if err := w.finish(s); err != nil {
			return err
		}
	}
	if s.depth > deepest {
		return errTooDeep
	}
	s.done = true
	w.visits[s.row] = s.visit
	w.ways = w.ways[:s.from]
	v := s.visit
	w.steps = w.steps[:len(w.steps)-1]
	if len(w.steps) > 0 {
		w.steps[len(w.steps)-1].add(v)
	}
	return nil
}

// look notes what n variables in a row lead to.
func (w *walk) look(s *step, p *plan, base unsafe.Pointer, n int) {
	if p.flat || p.size == 0 {
		return
	}
	for i := range n {
		for j := range p.ops {
			o := &p.ops[j]
			w.lookAt(s, o, unsafe.Add(base, uintptr(i)*p.size+o.off)) // the op's variable in the i-th of n variables
		}
	}
}

func (w *walk) lookAt(s *step, o *op, at unsafe.Pointer) {
	switch o.kind {
	case opString:
		s.cost += int64(len(*(*string)(at)))
	case opArray:
		w.look(s, o.sub, at, int(o.n))
	case opEface, opIface:
		w.face(o, at)
	case opPointer:
		w.way(*word(at), o.elem.get(), 1)
	case opSlice:
		w.way(slice(at).data, o.elem.get(), slice(at).len)
	case opMap:
		w.way(*word(at), o.elem.get(), isMap)
	}
}

func (w *walk) way(to unsafe.Pointer, p *plan, n int) {
	if w.everywhere && to != nil {
		w.ways = append(w.ways, row{to, p, n})
	}
}

// face notes what an interface holds.
func (w *walk) face(o *op, at unsafe.Pointer) {
	if *word(at) == nil {
		return
	}
	switch p := dynamic(o, at); {
	case !p.direct:
		w.ways = append(w.ways, row{words(at)[1], p, 1})
	case w.everywhere:
		w.ways = append(w.ways, row{unsafe.Add(at, wordSize), p, 1})
	}
}

// faces says whether variables have interfaces in them.
func (p *plan) faces() bool {
	for i := range p.ops {
		switch o := &p.ops[i]; o.kind {
		case opEface, opIface:
			return true
		case opArray:
			if o.sub.faces() {
				return true
			}
		}
	}
	return false
}

// box notes what an interface holds if that may lead back to it: no program can make such a thing, and comparing it
// would not end.
func (d *decoder) box(at unsafe.Pointer, p *plan) {
	if d.trust != Trusted && d.err == nil && p.faces() {
		d.guard.boxes = append(d.guard.boxes, row{at, p, 1})
	}
}

func (d *decoder) checkBoxes() {
	var w walk
	for _, n := range d.guard.boxes {
		if d.err == nil {
			d.failIf(w.through(n))
		}
	}
}

// checkKeys makes sure that n keys can be hashed in time.
func (d *decoder) checkKeys(p *plan, at unsafe.Pointer, n int) {
	if d.trust == Trusted || p.flat || !p.faces() && len(d.texts) == 0 {
		return
	}
	w := walk{finish: func(s *step) error {
		if s.at == at && !d.guard.spend(s.cost/hashes) {
			return errTooCostly
		}
		return nil
	}}
	d.failIf(w.through(row{at, p, n}))
}

// hashes is how many bytes are hashed as fast as one is made.
const hashes = 16

func (d *decoder) failIf(err error) {
	if err != nil {
		d.fail("%w", err)
	}
}

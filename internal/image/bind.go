package image

import (
	"errors"
	"runtime"
	"sync"
)

// The compiler makes a closure in three steps: it loads the address of the descriptor of struct { F uintptr; X0 … },
// calls the allocator, and stores the literal's entry PC at offset 0 of what that returned. A descriptor
// is bound to a PC only if the flow of registers shows all three: the allocation that took this
// descriptor is the base of the store of this PC.

// Refusals of bind.
var (
	errNoMaker = errors.New("where the program makes this closure was not found, so what it captured is not known: " +
		"move the code into a top-level function or a method and pass what it needs")
	errConflict = errors.New("the program makes this closure in more than one way, so what it captured is not certain: " +
		"move the code into a top-level function or a method and pass what it needs")
)

// confirm has all code searched for others that make the closure which was found to be made nearby, and refuses it from
// then on if they make it in another way. It does not wait for that: cmd/compile derives the descriptor of a closure from
// the closure alone (its captured variables, or the receiver of its method value), whoever makes it, so that even one
// maker is certain as long as the code is read rightly. That it is read rightly is what the others confirm, and
// a search of everything takes longer than a runner takes to boot.
//
// Each confirmation has a WaitGroup of its own, since the first call may be made in a synctest bubble. The process
// may end before it does; nothing else waits but tests.
func (im *Image) confirm(key closureKey, c *Closure) {
	wg := new(sync.WaitGroup)
	if _, begun := im.binder.checks.LoadOrStore(key.code, wg); begun {
		return
	}
	wg.Go(func() {
		im.binder.indexed.Do(im.index)
		if _, err := im.agree(key.code, im.binder.loads[key.code]); err != nil {
			im.closure.Store(key, closureResult{err: c.refuse(err.Error())})
		}
	})
}

// bind returns the descriptor of the closures whose code begins at entry.
func (im *Image) bind(entry uintptr) (uintptr, error) {
	text := im.text(entry)
	// Functions of one source file lie together: look around the function's own code before looking everywhere.
	for _, far := range [...]uintptr{32 << 10, 512 << 10} {
		near := span{start: max(text.start, entry-min(entry, far)), end: min(text.end, entry+far)}
		d, err := im.agree(entry, im.loadsOf(entry, near))
		if err != errNoMaker {
			return d, err
		}
	}
	im.binder.indexed.Do(im.index)
	return im.agree(entry, im.binder.loads[entry])
}

// made returns the closures that the function at entry makes.
func (im *Image) made(entry uintptr) []binding {
	b, ok := im.binder.tracked.Load(entry)
	if !ok {
		b, _ = im.binder.tracked.LoadOrStore(entry, track(im, entry).bound)
	}
	return b.([]binding)
}

// agree tracks every function that loads the entry's address; they must name the same descriptor.
func (im *Image) agree(entry uintptr, loads []uintptr) (uintptr, error) {
	var found uintptr
	done := make(map[uintptr]bool)
	for _, at := range loads {
		f := runtime.FuncForPC(at)
		if f == nil || done[f.Entry()] {
			continue
		}
		done[f.Entry()] = true
		for _, b := range im.made(f.Entry()) {
			if b.code != entry {
				continue
			}
			if found != 0 && found != b.desc {
				return 0, errConflict
			}
			found = b.desc
		}
	}
	if found == 0 {
		return 0, errNoMaker
	}
	return found, nil
}

// loadsOf returns where the code in s loads the address target.
func (im *Image) loadsOf(target uintptr, s span) (found []uintptr) {
	im.eachLoad(s, func(at, loaded uintptr) {
		if loaded == target {
			found = append(found, at)
		}
	})
	return found
}

// entryAlign is where functions may begin.
const entryAlign = 16

// index remembers, for all code, where it loads addresses of code.
func (im *Image) index() {
	im.binder.loads = make(map[uintptr][]uintptr)
	for _, s := range im.ranges {
		if s.region != Text {
			continue
		}
		im.eachLoad(s, func(at, loaded uintptr) {
			if loaded%entryAlign == 0 && im.region(loaded) == Text {
				im.binder.loads[loaded] = append(im.binder.loads[loaded], at)
			}
		})
	}
}

// eachLoad calls f for all that looks like the load of an address.
func (im *Image) eachLoad(s span, f func(at, loaded uintptr)) {
	im.machine().eachLoad(im.read(s.start, s.end-s.start), s.start, f)
}

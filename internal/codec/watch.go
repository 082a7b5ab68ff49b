package codec

import (
	"math/bits"
	"path/filepath"
	"runtime"
	"unsafe"
)

// Watched is some memory directly behind what received closures captured, as it was when they came. The zero Watched
// is of nothing.
type Watched struct {
	spots [watchedSpots]watchedSpot
	n     int
}

// watchedSpot is the beginning of one piece of memory.
type watchedSpot struct {
	at    unsafe.Pointer // keeps it alive
	size  uintptr
	print uint64
	o     *op
	entry uintptr // of the closure
}

const (
	watchedSpots   = 8   // at most so many pieces
	watchedBytes   = 128 // of each so many bytes
	watchedObjects = 64  // among so many objects of the message
)

// ReceiveWatched is Receive, and remembers in w what is directly behind the pointers, slices and maps that closures
// captured: what is written there stays behind.
func ReceiveWatched(data []byte, ptr any, b Borrower, w *Watched) error {
	return decode(source{data: data, trust: Trusted, given: true, borrower: b}, ptr, w)
}

// Changed describes the first piece of memory that has another content than when it came; "" if none has. It is
// for the time after the function has returned.
func (w *Watched) Changed() string {
	for i := range w.spots[:w.n] {
		s := &w.spots[i]
		if s.fingerprint() == s.print {
			continue
		}
		name, file, line := "a function", "", 0
		if f := runtime.FuncForPC(s.entry); f != nil {
			name = f.Name()
			file, line = f.FileLine(s.entry)
		}
		return function(name, filepath.Base(file), line) + ": captured " + s.o.typ.String()
	}
	return ""
}

// comesBack has w no longer watch what has changed and is among what a message has.
func (w *Watched) comesBack(regions []region) {
	for i := w.n - 1; i >= 0; i-- {
		if s := &w.spots[i]; s.fingerprint() != s.print && isAmong(regions, s.at) {
			w.n--
			*s = w.spots[w.n]
			w.spots[w.n] = watchedSpot{}
		}
	}
}

// isAmong says whether memory is in one of the first regions.
func isAmong(regions []region, at unsafe.Pointer) bool {
	for i := range regions[:min(len(regions), watchedObjects)] {
		r := &regions[i]
		if r.addr == at || uintptr(at)-uintptr(r.addr) < r.plan.size*uintptr(r.count) {
			return true
		}
	}
	return false
}

// forget makes w watch nothing.
func (w *Watched) forget() {
	clear(w.spots[:w.n])
	w.n = 0
}

// watch remembers what closures of a decoded message point to.
func (d *decoder) watch(w *Watched) {
	for i := range d.objects[:min(len(d.objects), watchedObjects)] {
		c := &d.objects[i]
		if c.kind != kindClosure {
			continue
		}
		for j := range c.plan.ops {
			if w.n < len(w.spots) {
				d.watchOne(w, c, &c.plan.ops[j])
			}
		}
	}
}

// watchOne remembers what is behind one captured variable, if it came with the message.
func (d *decoder) watchOne(w *Watched, c *object, o *op) {
	s := watchedSpot{o: o, entry: *(*uintptr)(c.base)}
	at := unsafe.Add(c.base, o.off) // a variable of the closure, of the op's type
	switch o.kind {
	case opPointer:
		s.at, s.size = *word(at), o.elem.get().size
	case opSlice:
		s.at, s.size = slice(at).data, o.elem.get().size*uintptr(slice(at).len)
	case opMap:
		s.at = *word(at)
	default:
		return
	}
	s.size = min(s.size, watchedBytes)
	if s.at == nil || s.size == 0 && o.kind != opMap || o.elem.get().restless() || !d.came(s.at, s.size) {
		return
	}
	s.print = s.fingerprint()
	w.spots[w.n] = s
	w.n++
}

// restless says whether variables change when they are only read, as caches and tables do that lock themselves.
func (p *plan) restless() bool {
	for i := range p.ops {
		switch o := &p.ops[i]; o.kind {
		case opSyncMap, opEncoded:
			return true
		case opArray:
			if o.sub.restless() {
				return true
			}
		}
	}
	return false
}

// came says whether memory is of the message: not this process's own, nor of the executable.
func (d *decoder) came(at unsafe.Pointer, size uintptr) bool {
	for i := range d.objects[:min(len(d.objects), watchedObjects)] {
		o := &d.objects[i]
		if o.base == at && o.kind == kindMap {
			return true
		}
		if o.kind > kindMany || o.base == nil {
			continue
		}
		if off := uintptr(at) - uintptr(o.base); off < o.plan.size*uintptr(o.n) {
			return size <= o.plan.size*uintptr(o.n)-off
		}
	}
	return false
}

// fingerprint hashes a piece of memory; of a map, it is how many entries it has. Goroutines that a function has left
// behind may write there meanwhile: any answer is right then.
//
//go:norace
func (s *watchedSpot) fingerprint() uint64 {
	if s.o.kind == opMap {
		return uint64(len(*(*map[int]int)(unsafe.Pointer(&s.at)))) // len does not depend on the type of map
	}
	const prime = 0x9e3779b97f4a7c15
	h, i := uint64(prime), uintptr(0)
	for ; i+wordSize <= s.size; i += wordSize {
		h = bits.RotateLeft64(h^uint64(*(*uintptr)(unsafe.Add(s.at, i))), 29) * prime // a word inside the object
	}
	for ; i < s.size; i++ {
		h = bits.RotateLeft64(h^uint64(*(*byte)(unsafe.Add(s.at, i))), 29) * prime // i < size: inside the object
	}
	return h
}

package codec

import (
	"maps"
	"sync"
	"sync/atomic"
)

// found keeps what was found out about the program, for good: it grows with the program's types, not with its
// messages. Looking something up takes no lock and no memory.
type found[K comparable, V any] struct {
	mu  sync.Mutex // held by those who add
	all atomic.Pointer[map[K]V]
}

func newFound[K comparable, V any]() *found[K, V] {
	f := new(found[K, V])
	f.all.Store(&map[K]V{})
	return f
}

// known returns what is found already; it must not be changed.
func (f *found[K, V]) known() map[K]V { return *f.all.Load() }

// keep adds what was found and returns what now counts: the first that was kept.
func (f *found[K, V]) keep(k K, v V) V {
	f.mu.Lock()
	defer f.mu.Unlock()
	if first, ok := f.known()[k]; ok {
		return first
	}
	all := maps.Clone(f.known())
	all[k] = v
	f.all.Store(&all)
	return v
}

package session

import "github.com/fleetinglambda/flame/internal/wire"

// arrival is a message on its way in. Its memory belongs to whoever gets it when it is whole.
type arrival struct {
	data  []byte
	size  int64 // of the whole; what comes first makes it known
	fresh func(n int) []byte
}

const (
	// firstRoom is up to which size memory is made for a message of which nothing but its size has come.
	firstRoom = 4 << 20
	// moreRoom is how many times as much as has come the next memory is.
	moreRoom = 16
	// zeroed is up to which size memory may be zeroed before it is filled.
	zeroed = 4 << 10
)

// begin takes what comes first.
func (a *arrival) begin(size int64, first []byte, fresh func(n int) []byte) {
	a.size, a.fresh = size, fresh
	a.grow(max(a.enough(firstRoom), int64(len(first))), first)
}

// grow has memory for n bytes, which begin with what has come.
func (a *arrival) grow(n int64, have []byte) {
	if a.fresh != nil && n > zeroed {
		a.data = append(a.fresh(int(n)), have...)
		return
	}
	a.data = append(make([]byte, 0, n), have...)
}

// room returns memory for the next n bytes; its capacity is what the message still needs. nil: it does not need so many.
func (a *arrival) room(n int) []byte {
	have := len(a.data)
	missing := a.size - int64(have)
	if n == 0 || int64(n) > missing || a.data == nil {
		return nil
	}
	if n > cap(a.data)-have {
		a.grow(a.enough(int64(cap(a.data))*moreRoom), a.data)
	}
	to := a.data[have:cap(a.data)]
	return to[:n:min(int64(cap(to)), missing)]
}

// enough is n, or all that the message needs if that is not much more.
func (a *arrival) enough(n int64) int64 {
	if a.size <= 2*n {
		return a.size
	}
	return n
}

// take takes a chunk, and says whether the message needed it.
func (a *arrival) take(f wire.Frame) bool {
	n := len(f.Payload)
	to := a.room(n)
	if to == nil {
		return false
	}
	if !f.Placed {
		copy(to, f.Payload)
	}
	a.data = a.data[:len(a.data)+n]
	return true
}

// whole says whether all has come.
func (a *arrival) whole() bool { return int64(len(a.data)) == a.size }

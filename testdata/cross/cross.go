// Package cross is the corpus of what can cross to another process and what cannot. Each closure has a comment before it
// that says "crosses", or what the refusal says after the name of the function.
package cross

import "runtime"

// Row is one closure.
type Row struct {
	Func any
	File string
	Line int // of the call of add; the comment stands above
}

// rows collects closures.
type rows []Row

// Rows returns all of them.
func Rows() []Row {
	var r rows
	r.plain()
	r.composite()
	r.packages()
	r.lent()
	r.functions()
	r.shared()
	r.handles()
	r.streams()
	r.unsafe()
	return r
}

func (r *rows) add(f func() any) {
	_, file, line, _ := runtime.Caller(1)
	*r = append(*r, Row{f, file, line})
}

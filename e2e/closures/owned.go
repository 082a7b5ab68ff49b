package main

import (
	"fmt"
	"sync"

	"github.com/fleetinglambda/flame"
)

// server is what each process has one of.
type server struct {
	mu    sync.Mutex
	name  string
	limit int
	hooks map[string]func() string
	boxed box[string]
}

func (s *server) title() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprint(s.name, s.limit, s.hooks["h"]())
}

// box is a generic type inside of it.
type box[T any] struct{ v T }

func (b *box[T]) show() func() string { return func() string { return fmt.Sprint(b.v) } }

// own is this process's server.
var own = &server{name: "own", limit: 3, hooks: map[string]func() string{"h": adderOut(7)}, boxed: box[string]{"boxed"}}

// declare says so; main calls it before it serves.
func declare() { flame.PerProcess("server", own) }

// lender is something that has the server.
type lender struct{ *server }

// perProcess captures the server in every way. Nothing of it is copied: its lock could not be.
func perProcess() []shape {
	s, limit, face, list := own, &own.limit, fmt.Stringer(nil), []*server{own, own}
	var boxed any = own
	other := own
	fn := func() string { return other.title() }
	other = list[1]
	byName := map[string]*server{"k": own}
	for _, held := range list[:1] {
		face = stringer(held.title)
	}
	return []shape{
		{"captured", func() string { return s.title() }},
		{"by reference", fn},
		{"method value", own.title},
		{"promoted method value", lender{own}.title},
		{"method value in an interface", face.String},
		{"pointer to a field", func() string { return fmt.Sprint(*limit, limit == &s.limit) }},
		{"in an interface", func() string { return boxed.(*server).title() }},
		{"in a slice", func() string { return fmt.Sprint(list[0].title(), list[0] == list[1]) }},
		{"in a map", func() string { return byName["k"].title() }},
		{"in a struct", func() string { return lender{s}.name }},
		{"it is the runner's own", func() string { return fmt.Sprint(s == own) }},
		{"generic", field(own, func(s *server) string { return s.name })},
		{"generic, in a slice", field([]*server{own}, func(l []*server) string { return l[0].title() })},
		{"generic, in a function", field(func() *server { return s }, func(f func() *server) string { return f().title() })},
		{"generic method in it", own.boxed.show()},
	}
}

type stringer func() string

func (s stringer) String() string { return s() }

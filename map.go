package flame

import (
	"context"
	"errors"
	"iter"
	"reflect"

	"github.com/fleetinglambda/flame/internal/runner"
)

// Map runs fn with every value of in, on the runners of p, and yields what it returns: in the order of the inputs, or with
// [Unordered] as they finish. An error is that of one item, as [Call] would return it; the loop goes on with the others.
//
// The function is sent to each runner once, and what it captured is shared there by the items of this loop, as
// goroutines would share it. The inputs, copied as they come, are sent one by one: each is a call of its own, with its own
// [Timeout], waiting and running together. As many are under way as the pool has slots, also after a [Pool.Resize], and in is read at most
// twice as far ahead of what the loop has got (at least 64, at most 8192 inputs), by one other goroutine.
// With [PerCall] the function goes along with each input, and every item has a copy of what it captured.
//
// What fn captured is copied when the loop begins. A captured context, logger or channel to send to works as in a Call, for as
// long as the loop lasts; a captured stream, or channel to receive from, is refused, since only one runner could
// use it. Inputs may hold any of these. What fn returns cannot stay on its runner.
//
// Leaving the loop cancels what is under way. So does the end of ctx: the items that were begun yield their
// [TimeoutError], and the loop ends with one. It ends as well when the pool is closed, or if fn cannot cross. If in panics,
// so does the loop. Each loop over the result is a Map of its own.
func Map[In, Out any](ctx context.Context, p *Pool, in iter.Seq[In], fn func(context.Context, In) (Out, error), opts ...Option) iter.Seq2[Out, error] {
	return func(yield func(Out, error) bool) {
		var none Out
		if in == nil {
			yield(none, errNoInput)
			return
		}
		var input In
		m, err := p.newMapping(ctx, mapped[In, Out]{fn}, item[In, Out]{in: input}, opts)
		if err != nil {
			yield(none, err)
			return
		}
		defer m.end()
		m.begin(func(add func(runner.Function) bool) {
			for v := range in {
				if !add(crossing(m, fn, v)) {
					return
				}
			}
		})
		for i := m.next(); i != nil; i = m.next() {
			var out Out
			if err := m.read(i, &out); !yield(out, err) {
				return
			}
		}
		if err := m.why(); err != nil {
			yield(none, err)
		}
	}
}

var errNoInput = errors.New("flame: Map over a nil iter.Seq: pass one that yields nothing")

// Unordered has [Map] yield what is there as soon as it is there.
func Unordered() Option {
	return func(c *sending) {
		if c.unordered = true; !c.each {
			c.wrong = append(c.wrong, errors.New("flame: Unordered is for Map"))
		}
	}
}

// crossing is what is sent for one input.
func crossing[In, Out any](m *mapping, fn func(context.Context, In) (Out, error), v In) runner.Function {
	if m.whole {
		return whole[In, Out]{fn, v}
	}
	return item[In, Out]{m.number, v}
}

// mapped is the function of a Map, which stays with a runner.
type mapped[In, Out any] struct {
	fn func(context.Context, In) (Out, error)
}

// Run is not for what stays.
func (f mapped[In, Out]) Run(context.Context) (any, error) { return nil, errNotItem }

func (f mapped[In, Out]) code() any { return f.fn }

func (f mapped[In, Out]) result() reflect.Type { return reflect.TypeFor[Out]() }

// item is what crosses for one input.
type item[In, Out any] struct {
	number uint64 // of the function
	in     In
}

var errNotItem = errors.New("the function of a Map and its input have not come together")

// Run is not for what has no function yet.
func (i item[In, Out]) Run(context.Context) (any, error) { return nil, errNotItem }

// Needs returns the number of the function.
func (i item[In, Out]) Needs() uint64 { return i.number }

// With joins the two.
func (i item[In, Out]) With(resident any) (runner.Function, error) {
	f, ok := resident.(mapped[In, Out])
	if !ok {
		return nil, errNotItem
	}
	return whole[In, Out]{f.fn, i.in}, nil
}

// whole is a function and its input.
type whole[In, Out any] struct {
	fn func(context.Context, In) (Out, error)
	in In
}

// Run runs it on the runner.
func (f whole[In, Out]) Run(ctx context.Context) (any, error) {
	result, err := f.fn(ctx, f.in)
	return &result, err
}

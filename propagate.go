package flame

import (
	"context"
	"fmt"
	"maps"

	"github.com/fleetinglambda/flame/internal/codec"
	"github.com/fleetinglambda/flame/internal/runner"
)

// Propagator takes chosen values of a context along with every call: the trace that it is part of, who asks for it. Nothing
// else of a context but its end, its cause and its deadline crosses by itself.
//
// It crosses with every call as captured variables do, and need not be registered anywhere. Its methods may be called by
// several goroutines at once.
type Propagator interface {
	// Inject returns what is to cross of the context that the call is made with. It is called on the parent, on the goroutine of
	// Call, Start or whichever it is. All keys and values together are at most 8 KiB.
	Inject(ctx context.Context) map[string]string
	// Extract returns a context, made from ctx, with what Inject has returned. It is called on the runner, before each run
	// of the function, which gets that context. A context that the function has captured is as it is without Extract.
	Extract(ctx context.Context, values map[string]string) context.Context
}

// maxPropagated bounds the keys and values of one call.
const maxPropagated = 8 << 10

// carried is what crosses for a call of a pool with a Propagator.
type carried struct {
	runner.Function
	with   Propagator
	values map[string]string
}

// Run runs the function on the runner.
func (c carried) Run(ctx context.Context) (any, error) {
	own := c.with.Extract(ctx, c.values)
	if own == nil {
		panic(fmt.Sprintf("flame: Config.Propagate: Extract of %T returned a nil context: return the one that it has got, or one made from it", c.with))
	}
	return c.Function.Run(own)
}

// carriedItem is carried for the input of a Map.
type carriedItem struct{ carried }

// Needs returns the number of the input's function.
func (c carriedItem) Needs() uint64 { return c.Function.(runner.Item).Needs() }

// With joins the two.
func (c carriedItem) With(resident any) (f runner.Function, err error) {
	f, err = c.Function.(runner.Item).With(resident)
	return carried{f, c.with, c.values}, err
}

// wrap makes of a function what crosses for it.
type wrap func(runner.Function) runner.Function

// asItIs is the wrap of a pool without a Propagator.
func asItIs(f runner.Function) runner.Function { return f }

// carry returns what has what is to be propagated of ctx cross with functions.
func (c Config) carry(ctx context.Context) (_ wrap, err error) {
	if c.Propagate == nil {
		return asItIs, nil
	}
	defer func() {
		if v := recover(); v != nil {
			err = &SendError{Path: "Config.Propagate", Reason: fmt.Sprintf("Inject of %T panicked: %v", c.Propagate, v)}
		}
	}()
	values := maps.Clone(c.Propagate.Inject(ctx))
	size := 0
	for k, v := range values {
		size += len(k) + len(v)
	}
	if size > maxPropagated {
		return nil, &SendError{
			Path:   "Config.Propagate",
			Reason: fmt.Sprintf("Inject of %T returned keys and values of %d bytes, and no more than %d may cross: capture what is larger", c.Propagate, size, maxPropagated),
		}
	}
	return func(f runner.Function) runner.Function {
		all := carried{f, c.Propagate, values}
		if _, ok := f.(runner.Item); ok {
			return carriedItem{all}
		}
		return all
	}, nil
}

// checkPropagate says why the Propagator cannot cross.
func (c Config) checkPropagate() error {
	if c.Propagate == nil {
		return nil
	}
	var f runner.Function = carried{Function: procedure{}, with: c.Propagate}
	if _, err := codec.Encode(&f, codec.Options{Limit: c.MessageLimit}); err != nil {
		return fmt.Errorf("flame: Config.Propagate: %w", atRim(c.Name, err))
	}
	return nil
}

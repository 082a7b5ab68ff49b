package codec

import (
	"errors"
	"fmt"
	"reflect"
	"unsafe"
)

// asking calls the methods of the errors in untrusted bytes, as everyone does who gets one: they may not follow the
// error's memory without end, panic, or say more than the message pays for.
type asking struct {
	guard *guard
	walk  walk
	asked map[[2]unsafe.Pointer]bool
	more  int // errors may still be met
}

// errorSteps is how many errors may be met that are nowhere in a message, but made by the methods of others.
const errorSteps = 1 << 16

func (d *decoder) checkErrors() {
	if len(d.errors) == 0 {
		return
	}
	a := asking{guard: &d.guard, asked: make(map[[2]unsafe.Pointer]bool), more: d.guard.size + errorSteps}
	a.walk = walk{everywhere: true, finish: a.measure}
	for _, at := range d.errors {
		if d.err == nil && *at != nil {
			d.failIf(a.walk.through(row{unsafe.Pointer(at), planOf(errorType), 1}))
		}
		if d.err == nil && *at != nil {
			d.failIf(a.ask(*at))
		}
	}
}

// measure asks an error what it says, once it is known of everything in it how much that says.
func (a *asking) measure(s *step) error {
	if s.n != 1 || s.plan.size == 0 {
		return nil
	}
	err, ok := reflect.NewAt(s.plan.typ, s.at).Interface().(error) // a row is of variables of that type
	if !ok {
		return nil
	}
	if !a.guard.spend(s.cost) || s.depth > deepest {
		return errTooCostly
	}
	text, _ := asked(err.Error)
	s.cost += int64(len(text))
	return nil
}

// ask makes sure that an error can be asked what it says and what it wraps.
func (a *asking) ask(err error) error {
	todo := []error{err}
	for len(todo) > 0 {
		err := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if err == nil || a.asked[*words(unsafe.Pointer(&err))] {
			continue
		}
		a.asked[*words(unsafe.Pointer(&err))] = true
		if a.more--; a.more < 0 {
			return errors.New("an error wraps too many")
		}
		text, ok := asked(err.Error)
		if !ok {
			return fmt.Errorf("the Error method of a %T panics", err)
		}
		if !a.guard.spend(int64(len(text))) {
			return errTooCostly
		}
		wrapped, ok := asked(func() []error { return unwrapped(err) })
		if !ok {
			return fmt.Errorf("the Unwrap method of a %T panics", err)
		}
		todo = append(todo, wrapped...)
	}
	return nil
}

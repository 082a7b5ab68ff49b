package codec

import (
	"fmt"
	"reflect"
	"slices"
	"sync"
)

// CheckType refuses a type whose variables can never come back as a result, whatever is in them: because of what it
// has in it, or of what its pointers, slices and maps lead to. What an interface holds it cannot know. An error is
// a *SendError.
func CheckType(t reflect.Type) error { return checkAs(theResult, t) }

// What a type is checked for.
const (
	theResult = "the result"
	anElement = "an element"
)

// checkAs is CheckType for something else that the parent is to take.
func checkAs(what string, t reflect.Type) error {
	if known, ok := verdicts.Load(question{what, t}); ok {
		err, _ := known.(error)
		return err
	}
	c := checker{what: what, seen: make(map[reflect.Type]bool)}
	c.check(t, []string{what, t.String()})
	known, _ := verdicts.LoadOrStore(question{what, t}, verdict(c.err))
	err, _ := known.(error)
	return err
}

// verdicts keeps what checkAs has said: question -> error, or noError.
var verdicts sync.Map

type question struct {
	what string
	t    reflect.Type
}

type noError struct{}

func verdict(err error) any {
	if err == nil {
		return noError{}
	}
	return err
}

// checker follows types. It stops at the first that cannot cross.
type checker struct {
	what string
	seen map[reflect.Type]bool
	err  error
}

func (c *checker) check(t reflect.Type, path []string) {
	if c.err != nil || c.seen[t] {
		return
	}
	c.seen[t] = true
	if isLent(t) {
		switch {
		case c.what == anElement:
			c.fail(path, article(t.String())+" "+t.String()+" is lent to a call and does not pass through a channel: let the function capture it")
		case !comesBack(t):
			c.fail(path, whyNotBack(t))
		}
		return
	}
	if p := planOf(t); p.refused != nil {
		if p.refused.path != "" {
			path = append(slices.Clip(path), fmt.Sprintf("%s (%v)", p.refused.path, p.refused.typ))
		}
		c.fail(path, p.refused.reason)
		return
	}
	if t == timeType || pointsToType(t) {
		return
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		c.step(t.Elem(), path, "")
	case reflect.Map:
		c.step(t.Key(), path, "a key")
		c.step(t.Elem(), path, "")
	case reflect.Struct:
		for f := range t.Fields() {
			if !staysBehind(t, f.Name) {
				c.step(f.Type, path, "."+f.Name)
			}
		}
	}
}

// step goes on to a part of a type; name is "" where the type says enough.
func (c *checker) step(t reflect.Type, path []string, name string) {
	if name != "" {
		path = append(slices.Clip(path), fmt.Sprintf("%s (%v)", name, t))
	}
	c.check(t, path)
}

func (c *checker) fail(path []string, reason string) {
	c.err = &SendError{Path: joinSteps(path), Reason: reason}
}

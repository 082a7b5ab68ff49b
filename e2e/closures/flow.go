package main

import (
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
)

// packageLevel captured something when the program was initialized.
var packageLevel = adderOut(100)

// counting is an iterator of the program itself.
func counting(from, to int) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		for i := from; i < to; i++ {
			if !yield(i, strings.Repeat("*", i)) {
				return
			}
		}
	}
}

func loops() (all []shape) {
	add := func(name string, fn func() string) { all = append(all, shape{name, fn}) }
	for i := 0; i < 4; i += 2 {
		add("variable of a three-clause loop", func() string { return fmt.Sprint(i) })
	}
	for i := 0; i < 2; i++ {
		add("changed variable of a loop", func() string { return fmt.Sprint(i) })
		i++
	}
	for k, v := range map[string]point{"k": {1, 2, "v"}} {
		add("variables of a map", func() string { return k + v.sum() })
	}
	for i, r := range "ü" {
		add("variables of a string", func() string { return fmt.Sprint(i, string(r)) })
	}
	for i, v := range [...]string{"a"} {
		add("variables of an array", func() string { return fmt.Sprint(i, v) })
	}
	total := 0
	for i, stars := range counting(1, 3) {
		total += i
		add("body of an iterator", func() string { return fmt.Sprint(i, stars, total) })
		for j := range counting(5, 9) {
			if j > 5 {
				break
			}
			add("body of an iterator in another", func() string { return fmt.Sprint(i, j, stars) })
		}
	}
	add("returned from an iterator", fromIterator("x"))
	seq := counting(2, 4)
	add("iterator", func() (s string) {
		for i, stars := range seq {
			s += fmt.Sprint(i, stars)
		}
		return s
	})
	return all
}

func fromIterator(s string) func() string {
	for i, stars := range counting(3, 9) {
		defer func() { s += "deferred" }()
		return func() string { return fmt.Sprint(i, stars, s) }
	}
	return nil
}

func branches() (all []shape) {
	add := func(name string, fn func() string) { all = append(all, shape{name, fn}) }
	if n, err := fmt.Sscan("1"); err != nil {
		add("variables of an if", func() string { return fmt.Sprint(n, err) })
	}
	ch := make(chan string, 1)
	ch <- "received"
	select {
	case v, ok := <-ch:
		add("variables of a select", func() string { return fmt.Sprint(v, ok) })
	default:
	}
	for _, a := range []any{1, "s", point{1, 2, "t"}, errors.New("e")} {
		switch v := a.(type) {
		case int, string:
			add("type switch of several", func() string { return fmt.Sprint(v) })
		case point:
			add("type switch of a struct", func() string { return v.sum() })
		case error:
			add("type switch of an interface", func() string { return v.Error() })
		}
	}
	var fn func() string
	if n := len(all); n > 2 {
		fn = func() string { return fmt.Sprint("more", n) }
	} else {
		fn = func() string { return fmt.Sprint("less", n) }
	}
	add("one of two literals", fn)
	i := 0
again:
	i++
	word := fmt.Sprint("word", i)
	if i < 2 {
		goto again
	}
	add("after a goto", func() string { return word })
	add("panics inside", func() (s string) {
		defer func() { s = fmt.Sprint(recover(), word) }()
		panic(word)
	})
	add("package-level closure", func() string { return packageLevel() })
	add("package-level closure itself", packageLevel)
	return all
}

func startedMakers() (all []shape) {
	var mu sync.Mutex
	add := func(name string, fn func() string) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, shape{name, fn})
	}
	var wg sync.WaitGroup
	n, list := 1, []string{"l"}
	wg.Go(func() { add("made in a goroutine without arguments", func() string { return fmt.Sprint(n, list) }) })
	wg.Wait()
	func() {
		for i := range 2 {
			defer func() { add("made in a deferred call in a loop", func() string { return fmt.Sprint(i, list) }) }()
		}
		defer add("deferred method value", point{1, 2, "d"}.sum)
	}()
	func() {
		defer func() {
			cause := recover()
			add("made of a panic", func() string { return fmt.Sprint(cause) })
		}()
		panic(fmt.Sprint("panic", n))
	}()
	once := sync.OnceValue(func() func() string { return func() string { return fmt.Sprint("once", n) } })
	add("made by sync.OnceValue", once())
	return all
}

func join(sep string, parts ...any) func() string {
	return func() string { return fmt.Sprint(len(parts), sep, parts) }
}

//go:noinline
func compose(fns ...func(string) string) func() string {
	return func() string {
		s := "x"
		for _, fn := range fns {
			s = fn(s)
		}
		return s
	}
}

// inlinedTwice is a maker that is inlined into one that is inlined.
func inlinedTwice(n int) func() string { return adder(n * 2) }

func immediately(s string) func() string {
	return func(p *string) func() string { return func() string { return *p + s } }(&s)
}

func named2(n int) (fn func() string, err error) {
	defer func() { n++ }()
	fn = func() string { return fmt.Sprint(n, err) }
	return fn, errors.New("named")
}

func moreMakers() []shape {
	prefix := "p"
	result, _ := named2(4)
	table := map[string]struct{ run handler }{"a": {adderOut(8)}}
	same := adderOut(6)
	array := [2]func() string{same, same}
	var boxed any = handler(adderOut(7))
	var generic any = same
	a, b, c, d, e, f, g, h := 1, "2", 3.0, []int{4}, &prefix, 'f', true, point{8, 8, "h"}
	return []shape{
		{"variadic of anything", join("-", 1, "a", nil, []int{2})},
		{"variadic of nothing", join("-")},
		{"variadic of functions", compose(strings.ToUpper, func(s string) string { return prefix + s }, strings.TrimSpace)},
		{"inlined twice", inlinedTwice(4)},
		{"called at once", immediately("now")},
		{"named results", result},
		{"functions in structs in a map", func() string { return table["a"].run() }},
		{"functions in an array", func() string { return array[0]() + array[1]() }},
		{"function in an interface", func() string { return boxed.(handler)() + generic.(func() string)() }},
		{"many of all kinds", func() string { return fmt.Sprint(a, b, c, d, *e, f, g, h, a, prefix, len(table)) }},
	}
}

package main

import (
	"fmt"
	"sort"
	"strings"
)

// wide is more than a closure captures by value.
type wide struct {
	name string
	data [40]int
	last *point
}

type padded struct {
	a bool
	b int64
	_ int32
	c byte
	d struct{}
}

func moreScalars() []shape {
	by, i16, i32, i64, u, u32, up, c64 := byte(200), int16(-300), int32(-1<<31), int64(-1<<63), uint(7), uint32(1<<31), uintptr(9), complex64(complex(1, 2))
	const constant = 12
	var none struct{}
	var noMap map[string]int
	var noFunc func()
	var noInterface any
	var typedNil any = (*point)(nil)
	text, blob := strings.Repeat("ab", 5000), []byte{0, 1, 255}
	sub := text[4000:4006]
	return []shape{
		{"byte", func() string { return fmt.Sprint(by) }},
		{"int16 and int32", func() string { return fmt.Sprint(i16, i32) }},
		{"int64", func() string { return fmt.Sprint(i64) }},
		{"uint and uint32", func() string { return fmt.Sprint(u, u32) }},
		{"uintptr", func() string { return fmt.Sprint(up) }},
		{"complex64", func() string { return fmt.Sprint(c64) }},
		{"constant", func() string { return fmt.Sprint(constant + i16) }},
		{"nothing of no size", func() string { return fmt.Sprint(none, by) }},
		{"nil map", func() string { return fmt.Sprint(noMap == nil, len(noMap)) }},
		{"nil function", func() string { return fmt.Sprint(noFunc == nil) }},
		{"nil interface", func() string { return fmt.Sprint(noInterface == nil) }},
		{"nil pointer in an interface", func() string { return fmt.Sprintf("%v %T", typedNil != nil, typedNil) }},
		{"long string", func() string { return fmt.Sprint(len(text), text[9999:]) }},
		{"part of a string", func() string { return sub }},
		{"bytes", func() string { return fmt.Sprint(blob) }},
	}
}

func moreComposites() []shape {
	w := wide{"w", [40]int{3: 3}, &point{1, 2, "l"}}
	pad := padded{a: true, b: -5, c: 7}
	byStruct := map[point]string{{1, 2, "k"}: "v"}
	byInterface := map[any]int{1: 1, "one": 2, point{}: 3}
	toPointer := map[string]*point{"a": {1, 2, "a"}}
	pointers := []*point{{1, 1, "x"}, nil, {2, 2, "z"}}
	words, spare := [3]string{"a", "b", "c"}, make([]int, 2, 10)
	errs := []error{fmt.Errorf("one"), nil}
	slice, table, array, iface := &[]int{1, 2}, &map[string]int{"m": 1}, &[5]int{4: 4}, any(&w)
	ready := []any{1, "a", []int{1}, map[string]int{"a": 1}, point{1, 2, "p"}, nil}
	embedded := struct {
		named
		*outer
	}{point{1, 2, "i"}, &outer{tags: map[string][]int{"o": {1}}}}
	return []shape{
		{"large struct", func() string { return fmt.Sprint(w.name, w.data, w.last.name) }},
		{"padded struct", func() string { return fmt.Sprint(pad.a, pad.b, pad.c, pad.d) }},
		{"map by struct", func() string { return byStruct[point{1, 2, "k"}] }},
		{"map by interface", func() string { return fmt.Sprint(byInterface[1], byInterface["one"], byInterface[point{}]) }},
		{"map to pointers", func() string { return toPointer["a"].sum() }},
		{"slice of pointers", func() string { return fmt.Sprint(pointers[0].name, pointers[1] == nil, pointers[2].name) }},
		{"array of strings", func() string { return fmt.Sprint(words) }},
		{"slice with room", func() string { return fmt.Sprint(append(spare, 3), len(spare)) }},
		{"slice of errors", func() string { return fmt.Sprint(errs) }},
		{"pointer to slice", func() string { return fmt.Sprint(*slice) }},
		{"pointer to map", func() string { return fmt.Sprint(*table) }},
		{"pointer to array", func() string { return fmt.Sprint(array[4], len(array)) }},
		{"pointer in an interface", func() string { return iface.(*wide).name }},
		{"slice of anything", func() string { return fmt.Sprint(ready...) }},
		{"embedded interface and pointer", func() string { return fmt.Sprint(embedded.named.sum(), embedded.tags) }},
	}
}

// reassigned captures variables of every kind by reference: they are assigned after the closure was made.
func reassigned() []shape {
	n, text, list, table, at := 0, "", []int(nil), map[string]int(nil), (*point)(nil)
	value, array, iface, err, fn := point{}, [40]int{}, any(nil), error(nil), func() string { return "" }
	all := []shape{
		{"int, by reference", func() string { return fmt.Sprint(n) }},
		{"string, by reference", func() string { return text }},
		{"slice, by reference", func() string { return fmt.Sprint(list) }},
		{"map, by reference", func() string { return fmt.Sprint(table) }},
		{"pointer, by reference", func() string { return at.sum() }},
		{"struct, by reference", func() string { return value.sum() }},
		{"array, by reference", func() string { return fmt.Sprint(array[39]) }},
		{"interface, by reference", func() string { return fmt.Sprint(iface) }},
		{"error, by reference", func() string { return err.Error() }},
		{"function, by reference", func() string { return fn() }},
	}
	n, text, list, table, at = 1, "later", []int{1, 2}, map[string]int{"k": 1}, &point{1, 2, "at"}
	value, array[39], iface, err, fn = point{3, 4, "v"}, 39, 2.5, fmt.Errorf("no %d", n), func() string { return text + "!" }
	return all
}

// tree is a function that knows itself through a field.
type tree struct {
	walk  func(*tree) int
	left  *tree
	right *tree
}

func nests() []shape {
	a, b := 1, "b"
	deep := func() func() func() string {
		c := []int{a}
		return func() func() string {
			d := &point{a, len(c), b}
			return func() string { return fmt.Sprint(a, b, c, d.sum()) }
		}
	}
	var even, odd func(int) bool
	even = func(n int) bool { return n == 0 || odd(n-1) }
	odd = func(n int) bool { return n != 0 && even(n-1) }
	root := &tree{left: &tree{}, right: &tree{left: &tree{}}}
	root.walk = func(t *tree) int {
		if t == nil {
			return 0
		}
		return 1 + root.walk(t.left) + root.walk(t.right)
	}
	count := 0
	up, read := func() { count++ }, func() int { return count }
	curry := func(x int) func(int) func(int) int {
		return func(y int) func(int) int { return func(z int) int { return x*100 + y*10 + z } }
	}
	one := curry(1)
	two := one(2)
	return []shape{
		{"three levels", func() string { return deep()()() }},
		{"innermost of three levels", deep()()},
		{"mutual recursion", func() string { return fmt.Sprint(even(10), odd(10)) }},
		{"function in the struct it captures", func() string { return fmt.Sprint(root.walk(root)) }},
		{"two functions with one variable", func() string {
			before := read()
			up()
			return fmt.Sprint(read() - before)
		}},
		{"curried", func() string { return fmt.Sprint(curry(9)(8)(7), one(5)(5), two(3)) }},
		{"same literal, other captures", func() string { return fmt.Sprint(curry(1)(2)(3), curry(4)(5)(6)) }},
	}
}

type (
	degrees float64
	names   []string
	ages    map[string]int
	action  func(int) string
	lights  [3]bool
)

// shows is an interface with one method.
type shows interface{ show() string }

func (d degrees) show() string { return fmt.Sprint(float64(d), "°") }
func (n names) show() string   { return strings.Join(n, ",") }
func (a ages) show() string    { return fmt.Sprint(len(a), a["x"]) }
func (a action) show() string  { return a(3) }
func (l lights) show() string  { return fmt.Sprint(l[1]) }

// deep has its methods from the innermost.
type (
	deep   struct{ *middle }
	middle struct {
		point
		named
	}
)

func (m *middle) own() string { return m.name + m.named.sum() }

func moreMethods() []shape {
	suffix := "!"
	m := &middle{point{1, 2, "embedded"}, point{3, 4, "inside"}}
	m.point.name, m.named = "changed", point{5, 6, "interface"}
	d := deep{m}
	var shower shows = names{"p", "q"}
	throughInterface := shows.show
	var sorter sort.Interface = sort.StringSlice{"b", "a"}
	less := sorter.Less
	list := []func() string{degrees(3).show, names{"r"}.show}
	return []shape{
		{"method of a number", degrees(1.5).show},
		{"method of a slice", names{"a", "b"}.show},
		{"method of a map", ages{"x": 3}.show},
		{"method of a function", action(func(n int) string { return fmt.Sprint(n) + suffix }).show},
		{"method of an array", lights{1: true}.show},
		{"method of an embedded pointer", d.own},
		{"method of an embedded value in a pointer", d.point.sum},
		{"method of an embedded interface", d.named.sum},
		{"method of an interface value", shower.show},
		{"method expression of an interface", func() string { return throughInterface(shower) }},
		{"method of another package's interface", func() string { return fmt.Sprint(less(0, 1), less(1, 0)) }},
		{"methods in a slice", func() string { return list[0]() + list[1]() }},
	}
}

package main

import (
	"slices"

	"github.com/fleetinglambda/flame/e2e/closures/made"
)

// shape is a closure whose result depends on all that it has captured.
type shape struct {
	name string
	fn   func() string
}

// kind is what shapes have in common.
type kind struct {
	name   string
	shapes []shape
}

// kinds are all shapes: those written by hand, which know the odd corners, and those that are made of every value in
// every way.
func kinds() []kind {
	all := []kind{
		{"by hand: scalars", slices.Concat(scalars(), moreScalars())},
		{"by hand: composites", slices.Concat(composites(), moreComposites())},
		{"by hand: references and nests", slices.Concat(references(), reassigned(), nests())},
		{"by hand: methods", slices.Concat(methods(), moreMethods())},
		{"by hand: generics", slices.Concat(generics(), genericShapes())},
		{"by hand: makers", slices.Concat(makers(), moreMakers(), startedMakers())},
		{"by hand: control flow", slices.Concat(controls(), loops(), branches())},
		{"by hand: values of packages", slices.Concat(libraries(), users(), values())},
		{"by hand: errors", errorShapes()},
		{"by hand: per process", perProcess()},
	}
	for _, c := range made.All() {
		i := slices.IndexFunc(all, func(k kind) bool { return k.name == c.Kind })
		if i < 0 {
			i, all = len(all), append(all, kind{name: c.Kind})
		}
		all[i].shapes = append(all[i].shapes, shape{c.Name, c.Fn})
	}
	return all
}

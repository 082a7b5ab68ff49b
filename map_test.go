//go:build linux

package flame_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/fleetinglambda/flame"
)

// upTo yields 0 … n-1.
func upTo(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

func TestN08_MapYieldsInTheOrderOfTheInputs(t *testing.T) {
	p, _ := open(t, flame.Config{Max: 2, MaxConcurrency: 4})
	add := 1000
	next := 0
	for got, err := range flame.Map(t.Context(), p, upTo(500), func(_ context.Context, n int) (string, error) {
		return fmt.Sprint(n + add), nil
	}) {
		if err != nil || got != fmt.Sprint(next+1000) {
			t.Fatalf("item %d: %q, %v", next, got, err)
		}
		next++
	}
	if next != 500 {
		t.Errorf("%d items", next)
	}
}

func TestN08_AnItemsErrorIsItsOwn(t *testing.T) {
	p, _ := open(t, flame.Config{})
	no := errors.New("no")
	var got []string
	for n, err := range flame.Map(t.Context(), p, upTo(6), func(_ context.Context, n int) (int, error) {
		switch n {
		case 1:
			return 0, no
		case 3:
			panic("three")
		}
		return n, nil
	}) {
		var panicked *flame.PanicError
		switch {
		case errors.As(err, &panicked):
			got = append(got, "panic "+panicked.Value)
		case err != nil:
			got = append(got, fmt.Sprint(err, " ran ", flame.Ran(err)))
		default:
			got = append(got, fmt.Sprint(n))
		}
	}
	if want := []string{"0", "no ran true", "2", "panic three", "4", "5"}; !slices.Equal(got, want) {
		t.Errorf("got %s", strings.Join(got, ", "))
	}
}

func TestN08_WhatCannotCrossIsRefusedAtOnce(t *testing.T) {
	p, r := open(t, flame.Config{})
	c := make(chan int)
	for name, errs := range map[string]iter.Seq2[int, error]{
		"the function": flame.Map(t.Context(), p, upTo(9), func(_ context.Context, n int) (int, error) { return <-c, nil }),
		"in":           flame.Map(t.Context(), p, slices.Values([]chan int{c, c}), func(context.Context, chan int) (int, error) { return 0, nil }),
	} {
		n := 0
		for _, err := range errs {
			n++
			var refused *flame.SendError
			if !errors.As(err, &refused) || n > 1 {
				t.Errorf("%s: %d: %v", name, n, err)
			}
			t.Log(err)
		}
	}
	n := 0
	for _, err := range flame.Map(t.Context(), p, upTo(9), func(_ context.Context, n int) (chan int, error) { return c, nil }) {
		var refused *flame.SendError
		if n++; !errors.As(err, &refused) || n > 1 {
			t.Errorf("out: %d: %v", n, err)
		}
		t.Log(err)
	}
	if len(r.booted()) > 0 {
		t.Error("a runner was booted")
	}
}

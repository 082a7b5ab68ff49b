//go:build linux

package flame_test

import (
	"context"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/fleetinglambda/flame"
)

func TestN08_WhatAMapYieldsDoesNotStayOnARunner(t *testing.T) {
	p, r := open(t, flame.Config{})
	refusedOnce(t, "use Call", flame.Map(t.Context(), p, upTo(9), func(context.Context, int) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader("x")), nil
	}))
	if len(r.booted()) > 0 {
		t.Error("a runner was booted")
	}
	for v, err := range flame.Map(t.Context(), p, upTo(3), func(_ context.Context, n int) (any, error) { return n, nil }) {
		if _, ok := v.(int); !ok || err != nil {
			t.Errorf("%v, %v", v, err)
		}
	}
	n := 0
	for v, err := range flame.Map(t.Context(), p, upTo(3), func(context.Context, int) (any, error) {
		return struct{ R io.ReadCloser }{io.NopCloser(strings.NewReader("x"))}, nil
	}) {
		if n++; v != nil || err == nil {
			t.Errorf("%v, %v", v, err)
		}
	}
}

func TestN08_InputsBringTheChannelThatAllItemsSendOn(t *testing.T) {
	p, _ := open(t, flame.Config{Max: 2, MaxConcurrency: 3})
	type job struct {
		Text     string
		Progress chan<- string
	}
	progress, total := make(chan string, 5), 0
	jobs := func(yield func(job) bool) {
		for range upTo(101) {
			if !yield(job{strings.Repeat("x", 100), progress}) {
				return
			}
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for s := range progress {
			total += len(s)
		}
	})
	for _, err := range flame.Map(t.Context(), p, jobs, func(_ context.Context, j job) (int, error) {
		j.Progress <- j.Text
		return 0, nil
	}) {
		if err != nil {
			t.Fatal(err)
		}
	}
	close(progress)
	if wg.Wait(); total != 10_100 {
		t.Errorf("got %d bytes", total)
	}
}

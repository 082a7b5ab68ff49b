// Command closures sends closures of every shape to a second process and compares what they return with what they
// return here. It ends with 1 if any is wrong or refused.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend/process"
)

func main() {
	flame.ServeIfRunner()
	pool, err := flame.Open(context.Background(), flame.Config{
		Name: "closures", Max: 1, Backend: process.New(process.Options{Output: io.Discard}), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "closures:", err)
		os.Exit(1)
	}
	failed := compare(pool, func(s string) { fmt.Println(s) })
	pool.Close()
	if failed > 0 {
		os.Exit(1)
	}
}

// compare runs every shape here and on a runner, and returns how many differ or are refused.
func compare(pool *flame.Pool, say func(string)) (failed int) {
	all := shapes()
	for _, s := range all {
		want := s.fn()
		got, err := flame.Call(context.Background(), pool, func(context.Context) (string, error) { return s.fn(), nil })
		if err == nil && got == want {
			got, err = flame.Call(context.Background(), pool, func(context.Context) (string, error) { return again(s.fn), nil })
		}
		if err != nil || got != want {
			failed++
			say(fmt.Sprintf("WRONG %s: %q instead of %q, %v", s.name, got, want, err))
		}
	}
	say(fmt.Sprintf("%d shapes, %d wrong or refused", len(all), failed))
	return failed
}

// again runs a function under the pressure of memory that has just been thrown away.
func again(fn func() string) string {
	for range 100 {
		_ = make([]byte, 64<<10)
	}
	return fn()
}

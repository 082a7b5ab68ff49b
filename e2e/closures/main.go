// Command closures sends closures of every shape to a second process and compares what they return with what they
// return here. It ends with 1 if any is wrong, if one is refused that should cross, or if one crosses that must not.
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
	ok := compare(pool, func(s string) { fmt.Println(s) })
	pool.Close()
	if !ok {
		os.Exit(1)
	}
}

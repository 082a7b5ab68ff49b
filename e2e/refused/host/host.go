// Command host opens the plugin that its argument names and sends a closure of it to a runner.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"plugin"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend/process"
)

func main() {
	flame.ServeIfRunner()
	if err := run(os.Args[1]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func run(path string) error {
	plugged, err := plugin.Open(path)
	if err != nil {
		return err
	}
	symbol, err := plugged.Lookup("Shout")
	if err != nil {
		return err
	}
	pool, err := flame.Open(context.Background(), flame.Config{
		Backend: process.New(process.Options{Output: io.Discard}), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	defer pool.Close()
	shout := symbol.(func(string) func(context.Context) (string, error))
	got, err := flame.Call(context.Background(), pool, shout("heard"))
	fmt.Println(got)
	return err
}

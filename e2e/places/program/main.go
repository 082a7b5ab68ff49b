// Command program calls a function on a runner and says where it ran. It is started in odd places. With arguments:
//
//	program wait     says "ready", and goes on when it has read a line
package main

import (
	"bufio"
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
	if len(os.Args) > 1 && os.Args[1] == "wait" {
		fmt.Println("ready")
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	}
	if err := run(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func run() error {
	ctx := context.Background()
	pool, err := flame.Open(ctx, flame.Config{
		Min: 1, Backend: process.New(process.Options{Output: io.Discard}), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	defer pool.Close()
	word := "captured"
	got, err := flame.Call(ctx, pool, func(context.Context) (string, error) {
		if _, ok := flame.Parent(); !ok {
			return "", fmt.Errorf("process %d is no runner", os.Getpid())
		}
		return fmt.Sprint(word, " uid ", os.Getuid()), nil
	})
	fmt.Println(got)
	return err
}

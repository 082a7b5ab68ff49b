// Command flame looks after the runners of programs that use package flame.
//
//	go get -tool github.com/fleetinglambda/flame/cmd/flame
//	go tool flame help
//
// It exits with 0 when it has done what was asked, with 1 when something could not be done, and with 2 when it does not
// understand what is asked.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := flame().main(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// flame is the whole tree of commands. Each has a file of its own.
func flame() *command {
	return &command{
		name:  "flame",
		short: "looks after the runners of programs that use package flame",
		commands: []*command{
			gc(),
		},
	}
}

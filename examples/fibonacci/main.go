// Fibonacci computes the 10,000,000th Fibonacci number on a runner while its web page keeps answering.
//
//	go run ./examples/fibonacci [-addr localhost:8080]
//
// Open the page: the clock on it asks the web server ten times a second and shows how long the answers take, before
// and while a number is computed.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/fleetinglambda/flame"
)

func main() {
	addr := flag.String("addr", "localhost:8080", "where to listen")
	flag.Parse()
	flame.ServeIfRunner()

	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "fibonacci: what is %q? It takes no arguments but -addr\n", flag.Arg(0))
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *addr); err != nil {
		fmt.Fprintf(os.Stderr, "fibonacci: %v\n", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, addr string) error {
	pool, err := flame.Open(ctx, flame.Config{Name: "fibonacci", Max: 2, MaxConcurrency: 1, Timeout: time.Minute})
	if err != nil {
		return err
	}
	defer pool.Close()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("%w: choose an address with -addr, such as localhost:8081", err)
	}
	fmt.Fprintf(os.Stderr, "open http://%s\n", l.Addr())
	server := &http.Server{Handler: handler(pool), ReadHeaderTimeout: 5 * time.Second}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	if err := server.Serve(l); err != http.ErrServerClosed {
		return err
	}
	return nil
}

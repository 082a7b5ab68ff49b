// Thumbs shows thumbnails of a video while it is still being uploaded. ffmpeg makes them on a runner.
//
//	go run ./examples/thumbs [-addr localhost:8080] [-every 2s] [-runners 2]
//
// Open the page and drop videos on it.
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
	every := flag.Duration("every", 2*time.Second, "how far the thumbnails are apart in the video, at least 40ms")
	runners := flag.Int("runners", 2, "how many videos are worked on at a time, each by a process of its own")
	flag.Parse()
	flame.ServeIfRunner()

	if flag.NArg() > 0 || *every < 40*time.Millisecond || *runners < 1 {
		fmt.Fprintln(os.Stderr, "thumbs: it takes -addr, -every (at least 40ms) and -runners (at least 1), and nothing else")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *addr, *every, *runners); err != nil {
		fmt.Fprintf(os.Stderr, "thumbs: %v\n", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, addr string, every time.Duration, runners int) error {
	pool, err := flame.Open(ctx, flame.Config{Name: "thumbs", Max: runners, MaxConcurrency: 1})
	if err != nil {
		return err
	}
	defer pool.Close()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("%w: choose an address with -addr, such as localhost:8081", err)
	}
	fmt.Fprintf(os.Stderr, "open http://%s\n", l.Addr())
	server := &http.Server{Handler: newStudio(pool, every).handler(), ReadHeaderTimeout: 5 * time.Second}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	if err := server.Serve(l); err != http.ErrServerClosed {
		return err
	}
	return nil
}

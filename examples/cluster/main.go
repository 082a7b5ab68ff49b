// Cluster is a web page that hashes what is uploaded to it, each upload on a runner of its own. Wherever it runs it makes its runners
// there: pods of Kubernetes, Machines of Fly, or processes of this machine.
//
//	go run ./examples/cluster [-addr localhost:8080] [-runners 8] [-idle 30s]
//
// The page shows the runners come and go. app.yaml deploys it on Kubernetes, fly.toml on Fly; README.md says how.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/backend/fly"
	"github.com/fleetinglambda/flame/backend/kubernetes"
	"github.com/fleetinglambda/flame/backend/process"
)

func main() {
	addr := flag.String("addr", "localhost:8080", "where to listen")
	runners := flag.Int("runners", 8, "how many runners there are at most")
	idle := flag.Duration("idle", 30*time.Second, "after which time a runner with nothing to do leaves")
	flag.Parse()
	flame.ServeIfRunner()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *addr, flame.Config{Name: "cluster", Max: *runners, MaxConcurrency: 1, IdleShutdownAfter: *idle, Backend: here()}); err != nil {
		slog.Error("cluster ends", "error", err)
		os.Exit(1)
	}
}

// here is the backend for where this process runs. None needs settings: each makes runners like this process.
func here() backend.Backend {
	switch {
	case os.Getenv("KUBERNETES_SERVICE_HOST") != "":
		return kubernetes.New(kubernetes.Options{})
	case os.Getenv("FLY_MACHINE_ID") != "":
		return fly.New(fly.Options{})
	}
	return process.New(process.Options{})
}

// serve shows the page until ctx ends. Uploads that have begun are finished first.
func serve(ctx context.Context, addr string, c flame.Config) error {
	pool, err := flame.Open(ctx, c)
	if err != nil {
		return err
	}
	defer pool.Close()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("%w: choose an address with -addr, such as localhost:8081", err)
	}
	slog.Info("open http://" + l.Addr().String())
	server := &http.Server{Handler: handler(pool), ReadHeaderTimeout: 5 * time.Second}
	ctx, stop := context.WithCancel(ctx)
	var stopping sync.WaitGroup
	stopping.Go(func() {
		<-ctx.Done()
		err = server.Shutdown(context.WithoutCancel(ctx)) // whoever runs this process insists after a while
	})
	served := server.Serve(l)
	stop()
	stopping.Wait()
	if !errors.Is(served, http.ErrServerClosed) {
		return served
	}
	return errors.Join(err, pool.Shutdown(context.WithoutCancel(ctx)))
}

// Command example counts primes, each piece in a container of its own image. Its Dockerfile and compose.yaml are those of the page
// docs/docker.md.
//
//	CGO_ENABLED=0 go build -o app . && docker build -t app .
//	docker run --rm -v /var/run/docker.sock:/var/run/docker.sock app
package main

import (
	"context"
	"fmt"
	"math/big"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend/docker"
)

func main() {
	flame.ServeIfRunner()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "example:", err)
		os.Exit(1)
	}
}

// run has two runners count at a time.
func run(ctx context.Context) error {
	pool, err := flame.Open(ctx, flame.Config{
		Name: "example", Min: 2, Max: 2, MaxConcurrency: 1,
		Backend: docker.New(docker.Options{CPUs: 1, Memory: 256 << 20}),
	})
	if err != nil {
		return err
	}
	defer pool.Close()
	const size = 10_000
	starts := slices.Values([]int64{0, size, 2 * size, 3 * size})
	for found, err := range flame.Map(ctx, pool, starts, func(_ context.Context, from int64) (string, error) {
		host, err := os.Hostname()
		return fmt.Sprintf("%d primes from %d on, says %s", primes(from, size), from, host), err
	}) {
		if err != nil {
			return err
		}
		fmt.Println(found)
	}
	return nil
}

func primes(from, n int64) (found int) {
	for i := from; i < from+n; i++ {
		if big.NewInt(i).ProbablyPrime(0) {
			found++
		}
	}
	return found
}

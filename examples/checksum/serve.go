package main

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/fleetinglambda/flame"
)

// serve shows the web page until ctx ends.
func serve(ctx context.Context, client *s3.Client, records *sql.DB, o options) error {
	if err := createRecords(ctx, records); err != nil {
		return err
	}
	pool, err := flame.Open(ctx, flame.Config{Max: o.runners, MaxConcurrency: o.concurrency})
	if err != nil {
		return err
	}
	defer pool.Close()
	l, err := net.Listen("tcp", o.serve)
	if err != nil {
		return fmt.Errorf("%w: choose an address with -serve, such as localhost:8081", err)
	}
	fmt.Fprintf(os.Stderr, "open http://%s\n", l.Addr())
	s := &site{pool: pool, client: client, records: records}
	server := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	if err := server.Serve(l); err != http.ErrServerClosed {
		return err
	}
	return pool.Shutdown(context.WithoutCancel(ctx)) // what is being recorded is recorded
}

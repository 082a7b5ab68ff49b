package main

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
)

func TestServesUntilItsContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := serve(ctx, "127.0.0.1:0"); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestAPortInUseIsSaid(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	err = serve(t.Context(), l.Addr().String())
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.HasSuffix(err.Error(), ": choose an address with -addr, such as localhost:8081") {
		t.Errorf("got %v", err)
	}
}

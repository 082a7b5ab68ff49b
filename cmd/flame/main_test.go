//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	runners "github.com/fleetinglambda/flame"
)

// parentVariable makes this test binary a parent in a process of its own. It names its engine, its pool and the image.
const parentVariable = "FLAME_TEST_PARENT"

func TestMain(m *testing.M) {
	runners.ServeIfRunner()
	if of := strings.Fields(os.Getenv(parentVariable)); len(of) == 3 {
		open := openPool
		if of[0] == "kubernetes" {
			open = openPods
		}
		_, err := open(context.Background(), of[1], of[2])
		fmt.Println("open", err)
		_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed
	}
	os.Exit(m.Run())
}

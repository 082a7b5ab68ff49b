package main

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/fleetinglambda/flame"
)

var client = newClient(context.Background())

func TestMain(m *testing.M) {
	flame.PerProcess("s3", client)
	flame.ServeIfRunner()
	var err error
	if builtIn, err = os.MkdirTemp("", "checksum-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(builtIn)
	os.Exit(code)
}

func TestOptionsThatCannotBe(t *testing.T) {
	for want, o := range map[string]options{
		"": {runners: 1, concurrency: 1},
		"-runners is 0: it must be from 1 to 1000":           {runners: 0, concurrency: 4},
		"-runners is -2: it must be from 1 to 1000":          {runners: -2, concurrency: 4},
		"-runners is 1001: it must be from 1 to 1000":        {runners: 1001, concurrency: 4},
		"-concurrency is 0: it must be from 1 to 1000":       {runners: 1, concurrency: 0},
		"-concurrency is 1000000: it must be from 1 to 1000": {runners: 1, concurrency: 1_000_000},
	} {
		got := ""
		if err := o.valid(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%+v: %q, want %q", o, got, want)
		}
	}
}

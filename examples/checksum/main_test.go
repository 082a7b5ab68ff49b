package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/fleetinglambda/flame"
)

var client = newClient(context.Background())

// records is a database of this process, in builtIn.
var records *sql.DB

// builtIn is a directory for the program and its database, from TestMain.
var builtIn string

func TestMain(m *testing.M) {
	var err error
	if builtIn = os.Getenv("CHECKSUM_TEST"); builtIn == "" { // on a runner it is the parent's
		builtIn, err = os.MkdirTemp("", "checksum-")
		os.Setenv("CHECKSUM_TEST", builtIn)
	}
	if err == nil {
		records, err = openRecords(filepath.Join(builtIn, "checksums?.db"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	flame.PerProcess("s3", client)
	flame.PerProcess("records", records)
	flame.ServeIfRunner()
	code := m.Run()
	os.RemoveAll(builtIn)
	os.Exit(code)
}

func TestOptionsThatCannotBe(t *testing.T) {
	for want, o := range map[string]options{
		"": {runners: 1, concurrency: 1},
		"-runners is 0: it must be from 1 to 1000":                   {runners: 0, concurrency: 4},
		"-runners is -2: it must be from 1 to 1000":                  {runners: -2, concurrency: 4},
		"-runners is 1001: it must be from 1 to 1000":                {runners: 1001, concurrency: 4},
		"-concurrency is 0: it must be from 1 to 1000":               {runners: 1, concurrency: 0},
		"-serve hashes what is uploaded: leave out -c and the paths": {runners: 1, concurrency: 1, serve: ":0", paths: []string{"a"}},
		"-concurrency is 1000000: it must be from 1 to 1000":         {runners: 1, concurrency: 1_000_000},
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

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend/process"
)

// videos is a directory for the videos that are made, from TestMain.
var videos string

func TestMain(m *testing.M) {
	flame.ServeIfRunner()
	var err error
	if videos, err = os.MkdirTemp("", "thumbs-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(videos)
	os.Exit(code)
}

// open opens a pool of processes and the page's server, with a thumbnail for every second.
func open(t *testing.T, runners int) (*flame.Pool, *httptest.Server) {
	t.Helper()
	pool, err := flame.Open(t.Context(), flame.Config{
		Max: runners, MaxConcurrency: 1,
		Backend: process.New(process.Options{Output: t.Output()}),
		Logger:  slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(newStudio(pool, time.Second).handler())
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		pool.Close()
	})
	return pool, server
}

// video returns the path of a video of ten seconds, 320 by 240 and some megabytes, that ffmpeg has made with these
// options.
func video(t *testing.T, name string, options ...string) string {
	t.Helper()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("no ffmpeg to make a video with: apt-get install ffmpeg")
	}
	path := filepath.Join(videos, name)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	args := []string{
		"-v", "error", "-f", "lavfi", "-i", "testsrc=duration=10:size=320x240:rate=25,noise=alls=40:allf=t",
		"-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p",
	}
	if out, err := exec.CommandContext(t.Context(), "ffmpeg", append(append(args, options...), path)...).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, out)
	}
	return path
}

func TestServesUntilItsContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := serve(ctx, "127.0.0.1:0", time.Second, 1); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestAPortInUseIsSaid(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	err = serve(t.Context(), l.Addr().String(), time.Second, 1)
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.HasSuffix(err.Error(), ": choose an address with -addr, such as localhost:8081") {
		t.Errorf("got %v", err)
	}
}

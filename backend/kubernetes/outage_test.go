//go:build linux

package kubernetes_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/fleetinglambda/flame"
)

// gate is a way to the API server that can be closed: connections through it break, and new ones are refused.
type gate struct {
	to, at string
	wg     sync.WaitGroup // accepts, and copies

	mu    sync.Mutex
	in    net.Listener // nil: closed
	conns []net.Conn
}

// through returns a configuration that leads through a gate. It is closed after the test.
func through(t *testing.T, c *rest.Config) (*gate, *rest.Config) {
	t.Helper()
	u, err := url.Parse(c.Host)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{to: u.Host, at: "127.0.0.1:0"}
	g.open(t)
	t.Cleanup(func() {
		g.close()
		g.wg.Wait()
	})
	c = rest.CopyConfig(c)
	c.ServerName = u.Hostname()
	c.Host = "https://" + g.at
	return g, c
}

func (g *gate) open(t *testing.T) {
	t.Helper()
	in, err := net.Listen("tcp", g.at)
	if err != nil {
		t.Fatal(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.in, g.at = in, in.Addr().String()
	g.wg.Go(func() {
		for {
			from, err := in.Accept()
			if err != nil {
				return
			}
			g.wg.Go(func() { g.join(from) })
		}
	})
}

// join joins a connection with one to the API server.
func (g *gate) join(from net.Conn) {
	to, err := net.Dial("tcp", g.to)
	if err != nil {
		from.Close()
		return
	}
	g.mu.Lock()
	if g.conns = append(g.conns, from, to); g.in == nil {
		from.Close()
	}
	g.mu.Unlock()
	g.wg.Go(func() {
		_, _ = io.Copy(to, from)
		to.Close()
	})
	_, _ = io.Copy(from, to)
	from.Close()
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.in != nil {
		g.in.Close()
	}
	g.in = nil
	for _, c := range g.conns {
		c.Close()
	}
	g.conns = nil
}

func TestN14_WhatHappenedWhileTheAPIServerWasAwayIsSeenAfterwards(t *testing.T) {
	s := cluster(t)
	o := s.options(t)
	g, config := through(t, o.Config)
	o.Config = config
	p := open(t, o, flame.Config{})
	task := flame.Start(t.Context(), p, func(context.Context) (string, error) { select {} })
	eventually(t, "it runs", func() bool { return p.Stats().Started > 0 })
	g.close()
	s.deleteAll(t, "kubernetes-test", 1)
	pause := time.NewTimer(time.Second)
	<-pause.C
	g.open(t)
	_, err := task.Wait(t.Context())
	var lost *flame.RunnerLostError
	if !errors.As(err, &lost) || !lost.Started {
		t.Errorf("got %v", err)
	}
	says(t, err, "deleted")
	s.nothingIsLeft(t, "kubernetes-test")
}

func TestN14_ARunnerThatEndedWhileTheAPIServerWasAwaySaysHow(t *testing.T) {
	s := cluster(t)
	o := s.options(t)
	g, config := through(t, o.Config)
	o.Config = config
	p := open(t, o, flame.Config{})
	task := flame.Start(t.Context(), p, func(context.Context) (string, error) {
		pause := time.NewTimer(500 * time.Millisecond)
		<-pause.C
		os.Exit(9)
		return "", nil
	})
	eventually(t, "it runs", func() bool { return p.Stats().Started > 0 })
	g.close()
	eventually(t, "it has ended", func() bool { return s.running(t, "kubernetes-test") == 0 })
	g.open(t)
	_, err := task.Wait(t.Context())
	var lost *flame.RunnerLostError
	if !errors.As(err, &lost) || lost.ExitCode != 9 {
		t.Errorf("got %v", err)
	}
	s.nothingIsLeft(t, "kubernetes-test")
}

func TestB11_BootsAndStopsOutlastARestartOfTheAPIServer(t *testing.T) {
	s := cluster(t)
	o := s.options(t)
	g, config := through(t, o.Config)
	o.Config = config
	p := open(t, o, flame.Config{Min: 1, MaxConcurrency: 1, Max: 2})
	// When the API server is away,
	g.close()
	hold := flame.Start(t.Context(), p, func(ctx context.Context) (string, error) { <-ctx.Done(); return "", nil })
	defer hold.Cancel()
	second := flame.Start(t.Context(), p, func(context.Context) (string, error) { return "booted", nil })
	pause := time.NewTimer(2 * time.Second)
	<-pause.C
	g.open(t)
	// then the second call's runner comes up as soon as it is there again,
	if got, err := second.Wait(t.Context()); err != nil || got != "booted" {
		t.Errorf("got %q, %v", got, err)
	}
	// and so is with its end.
	g.close()
	var closing sync.WaitGroup
	closing.Go(func() { p.Close() })
	pause.Reset(2 * time.Second)
	<-pause.C
	g.open(t)
	closing.Wait()
	s.nothingIsLeft(t, "kubernetes-test")
}

func TestF14_OutputGoesOnAfterTheAPIServerWasAway(t *testing.T) {
	s := cluster(t)
	o := s.options(t)
	g, config := through(t, o.Config)
	var mu sync.Mutex
	var printed strings.Builder
	o.Config, o.Output = config, writer(func(b []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return printed.Write(b)
	})
	p := open(t, o, flame.Config{})
	text := func() string {
		mu.Lock()
		defer mu.Unlock()
		return printed.String()
	}
	say := func(word string) {
		if err := flame.Run(t.Context(), p, func(context.Context) error { println(word); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	say("one")
	eventually(t, "the first is read", func() bool { return strings.Contains(text(), "one\n") })
	g.close()
	say("two")
	say("three")
	g.open(t)
	say("four")
	eventually(t, "the last is read", func() bool { return strings.Contains(text(), "four\n") })
	if got := text(); got != "one\ntwo\nthree\nfour\n" {
		t.Errorf("%q", got)
	}
	if pods, err := s.core.Pods(s.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "flame.pool=kubernetes-test"}); err != nil || len(pods.Items) != 1 {
		t.Errorf("%d pods, %v", len(pods.Items), err)
	}
}

// writer is a function that writes.
type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

//go:build linux

package flame_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend"
)

// diary keeps the events of a pool.
type diary struct {
	mu     sync.Mutex
	events []flame.Event
}

func (d *diary) tell(e flame.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, e)
}

func (d *diary) count(k flame.EventKind) (n uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.events {
		if e.Kind == k {
			n++
		}
	}
	return n
}

func (d *diary) kinds() (kinds []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.events {
		kinds = append(kinds, e.Kind.String())
	}
	return kinds
}

func TestF11_EventsTellTheLifeOfARunnerAndOfACall(t *testing.T) {
	var d diary
	p, _ := open(t, flame.Config{OnEvent: d.tell})
	if err := flame.Run(t.Context(), p, func(context.Context) error { return errors.New("failed") }); err == nil || err.Error() != "failed" {
		t.Fatal(err)
	}
	if err := p.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"call queued", "runner booting", "runner up", "call leased", "call started", "call ended",
		"closing", "runner draining", "runner gone",
	}
	if got := d.kinds(); !slices.Equal(got, want) {
		t.Fatalf("got %q", got)
	}
	began := d.events[0].Time
	for i, e := range d.events {
		if e.Pool != "test" || e.Time.Before(began) || e.Dropped != 0 {
			t.Errorf("%+v", e)
		}
		began = e.Time
		if call := strings.HasPrefix(e.Kind.String(), "call"); call != (e.Call == 1) || call != strings.Contains(e.Function, "TestF11_EventsTell") || call && e.Attempt != 1 {
			t.Errorf("event %d: %+v", i, e)
		}
		if e.Kind == flame.CallEnded && (e.Ran <= 0 || e.Waited <= 0 || e.Runner == "") {
			t.Errorf("%+v", e)
		}
		if e.Kind == flame.RunnerDraining && e.Reason != "closed" {
			t.Errorf("%+v", e)
		}
	}
}

func TestF11_FailedBootsAreEventsAndStats(t *testing.T) {
	var d diary
	_, err := flame.Open(t.Context(), flame.Config{Name: "test", Min: 1, OnEvent: d.tell, Logger: slog.New(slog.DiscardHandler), Backend: broken{}})
	var boot *flame.BootError
	if !errors.As(err, &boot) {
		t.Fatalf("got %v", err)
	}
	if got := d.kinds(); !slices.Contains(got, "boot failed") {
		t.Errorf("got %q", got)
	}
	p, err := flame.Open(t.Context(), flame.Config{Name: "test", Logger: slog.New(slog.DiscardHandler), Backend: broken{}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := flame.Run(t.Context(), p, func(context.Context) error { return nil }, flame.Timeout(10*time.Second)); err == nil || flame.Ran(err) {
		t.Errorf("got %v", err)
	}
	if s := p.Stats(); s.LastBoot == nil || !strings.Contains(s.LastBoot.Error(), "no machine is free") || s.BootsFailed == 0 || s.Failed != 1 {
		t.Errorf("%+v", s)
	}
}

// broken is a backend that boots nothing.
type broken struct{}

func (broken) Boot(context.Context, backend.Spec) (backend.Instance, error) {
	return nil, errors.New("no machine is free")
}

func TestB15_ACallbackThatPanicsOrBlocksHarmsNobody(t *testing.T) {
	var log bytes.Buffer
	blocked := make(chan struct{})
	p, _ := open(t, flame.Config{
		Logger: slog.New(slog.NewTextHandler(&log, nil)), OnEvent: func(flame.Event) { panic("cannot write the metrics") },
	})
	stop := p.Subscribe(func(flame.Event) { <-blocked })
	var d diary
	p.Subscribe(d.tell)
	for range 3000 { // three events each, more than wait for a reader
		if err := flame.Run(t.Context(), p, func(context.Context) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	settle(t, func() bool { return d.count(flame.CallEnded) == 3000 }, func() string { return fmt.Sprint(d.count(flame.CallEnded), " have ended") })
	if s := p.Stats(); s.DroppedEvents < 3000 {
		t.Errorf("%d events were dropped", s.DroppedEvents)
	}
	close(blocked)
	stop()
	stop()
	p.Close()
	if got := log.String(); !strings.Contains(got, "cannot write the metrics") {
		t.Errorf("the log has not %s", got)
	}
}

func TestEventsAndStatsAgreeWithWhatHappened(t *testing.T) {
	var d diary
	p, r := open(t, flame.Config{Min: 1, Max: 2, MaxConcurrency: 2, MaxQueue: 5, OnEvent: d.tell})
	n := listen(t)
	addr := n.addr
	var tasks []*flame.Task[int]
	for range 4 {
		tasks = append(tasks, flame.Start(t.Context(), p, func(context.Context) (int, error) { return 1, hold(addr) }))
	}
	for range 4 {
		n.next(t)
	}
	kill(t, r.booted()[0])
	settle(t, func() bool { return p.Stats().Lost == 2 }, func() string { return "no calls were lost" })
	n.release()
	lost, ended := 0, 0
	for _, task := range tasks {
		if _, err := task.Wait(t.Context()); err != nil {
			lost++
		} else {
			ended++
		}
	}
	if err := p.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := p.Stats()
	for what, counts := range map[string][3]uint64{
		"lost": {uint64(lost), s.Lost, d.count(flame.CallLost)}, "ended": {uint64(ended), s.Ended, d.count(flame.CallEnded)},
		"boots": {uint64(len(r.booted())), s.Boots, d.count(flame.RunnerBooting)},
		"gone":  {uint64(len(r.booted())), s.Gone, d.count(flame.RunnerGone)},
		"calls": {4, s.Arrived, d.count(flame.CallQueued)},
	} {
		if counts[0] != counts[1] || counts[1] != counts[2] {
			t.Errorf("%s: %d, stats say %d, events %d", what, counts[0], counts[1], counts[2])
		}
	}
	if s.Running+s.Waiting+s.Ready+s.Booting+s.Draining != 0 || s.RunnerTime <= 0 {
		t.Errorf("%+v", s)
	}
}

func TestARunnersComingAndGoingIsLoggedWithTheReason(t *testing.T) {
	var log bytes.Buffer
	p, r := open(t, flame.Config{Logger: slog.New(slog.NewTextHandler(&log, nil)), IdleShutdownAfter: 10 * time.Millisecond})
	gone(t, pid(t, p))
	settle(t, func() bool { return p.Stats().Gone == 1 }, func() string { return "it is still there" })
	n := listen(t)
	addr := n.addr
	for i, end := range []func(){func() { kill(t, r.booted()[1]) }, func() { p.Close() }} {
		task := flame.Start(t.Context(), p, func(context.Context) (int, error) { return 0, hold(addr) })
		n.next(t)
		end()
		if _, err := task.Wait(t.Context()); err == nil {
			t.Errorf("call %d was cut off and has no error", i)
		}
	}
	said := log.String()
	for _, want := range []string{`why="it was told to leave: idle"`, `why="killed by signal: killed"`, `why="it was told to leave: closed"`} {
		if !strings.Contains(said, want) {
			t.Errorf("%s\nhas not %s", said, want)
		}
	}
	if n := strings.Count(said, "runner is up"); n != 3 {
		t.Errorf("%d runners came up", n)
	}
}

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/fleetinglambda/flame"
)

// ended subscribes to a pool and returns a channel that gets how every call ends.
func ended(t *testing.T, pool *flame.Pool) <-chan flame.Event {
	t.Helper()
	events := make(chan flame.Event, 10)
	t.Cleanup(pool.Subscribe(func(e flame.Event) {
		if slices.Contains([]flame.EventKind{flame.CallEnded, flame.CallLost, flame.CallFailed}, e.Kind) {
			events <- e
		}
	}))
	return events
}

// runner returns the process id of the runner of a pool that has one.
func runner(t *testing.T, pool *flame.Pool) int {
	t.Helper()
	pid, err := flame.Call(t.Context(), pool, func(context.Context) (int, error) { return os.Getpid(), nil })
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// children returns the processes that a process has started.
func children(t *testing.T, pid int) (all string) {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil || len(tasks) == 0 {
		t.Fatalf("no process %d, %v", pid, err)
	}
	for _, task := range tasks {
		pids, _ := os.ReadFile(task) // it may have ended
		all += string(pids)
	}
	return all
}

func TestAnUploadThatBreaksOffEndsFfmpeg(t *testing.T) {
	// Given a video of which some thumbnails are there,
	pool, server := open(t, 1)
	pid := runner(t, pool)
	over := ended(t, pool)
	v, h := watch(t, server, "a"), putHalf(t, server, "a", video(t, "test.mkv"))
	v.next(t)
	if children(t, pid) == "" {
		t.Error("where is ffmpeg?")
	}
	// when the connection of the upload breaks off,
	h.cancel()
	// then the page says so, the function has ended, and ffmpeg with it.
	if _, problem := v.rest(t); !strings.HasPrefix(problem, "the upload broke off") {
		t.Errorf("it says %q", problem)
	}
	<-over
	if left := children(t, pid); left != "" {
		t.Errorf("processes %s are left", left)
	}
}

func TestAPageThatIsLeftEndsFfmpeg(t *testing.T) {
	// Given a video of which some thumbnails are there, and an upload that has stalled,
	pool, server := open(t, 1)
	pid := runner(t, pool)
	over := ended(t, pool)
	v, h := watch(t, server, "a"), putHalf(t, server, "a", video(t, "test.mkv"))
	v.next(t)
	// when the page is closed, then the function ends, ffmpeg with it, and so does the upload.
	v.leave()
	<-over
	if left := children(t, pid); left != "" {
		t.Errorf("processes %s are left", left)
	}
	h.wg.Wait()
	if h.err == nil && h.answer != "422 the upload broke off\n" {
		t.Errorf("the upload is answered with %q", h.answer)
	}
}

func TestARunnerThatDiesIsSaid(t *testing.T) {
	// Given a video of which some thumbnails are there, and an upload that has stalled,
	pool, server := open(t, 1)
	pid := runner(t, pool)
	v, h := watch(t, server, "a"), putHalf(t, server, "a", video(t, "test.mkv"))
	v.next(t)
	// when the runner dies, then the page says so, in words,
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	const want = "the process that worked on it is gone (killed by signal: killed): upload it again"
	if _, problem := v.rest(t); problem != want {
		t.Errorf("the page says %q", problem)
	}
	h.wg.Wait()
	if h.err == nil && h.answer != "422 "+want+"\n" {
		t.Errorf("the upload is answered with %q", h.answer)
	}
	// and the next video has its thumbnails.
	v = watch(t, server, "a")
	putHalf(t, server, "a", video(t, "test.mkv")).goOn()
	if at, problem := v.rest(t); !slices.Equal(at, everySecond) || problem != "" {
		t.Errorf("%v, %q", at, problem)
	}
}

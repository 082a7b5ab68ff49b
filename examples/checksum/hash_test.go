package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend/process"
)

func open(t *testing.T) *flame.Pool {
	t.Helper()
	pool, err := flame.Open(t.Context(), flame.Config{
		Max: 2, MaxConcurrency: 2,
		Backend: process.New(process.Options{Output: t.Output()}),
		Logger:  slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pool.Close() })
	return pool
}

func TestRunnersHashATree(t *testing.T) {
	// Given a tree with names of every kind,
	pool, files := open(t), odd()
	dir := tree(t, files)
	for _, window := range []int{1, 2, 100} {
		// when runners hash it, then every sum is right,
		var lines, paths []string
		for f, err := range hashAll(t.Context(), pool, client, window, find(t.Context(), client, []string{dir})) {
			if err != nil || f.err != nil {
				t.Fatal(err, f.err)
			}
			lines, paths = append(lines, f.line()), append(paths, f.path)
		}
		if slices.Sort(lines); !slices.Equal(lines, sums(dir, files)) {
			t.Errorf("window %d: got %q", window, lines)
		}
		// and they are in the order in which the files were found.
		i := 0
		for f := range find(t.Context(), client, []string{dir}) {
			if i >= len(paths) || f.path != paths[i] {
				t.Fatalf("window %d: %q is not in its place, %d", window, f.path, i)
			}
			i++
		}
	}
}

func TestAFileThatCannotBeReadDoesNotStopTheOthers(t *testing.T) {
	// Given a file that can be opened and not read, one that nobody finds, and a device,
	pool, dir := open(t), tree(t, map[string]string{"a": "a", "z": "z"})
	bad := filepath.Join(dir, "memory")
	if err := os.Symlink("/proc/self/mem", bad); err != nil {
		t.Fatal(err)
	}
	// when they are hashed among others,
	paths := []string{dir + "/a", bad, dir + "/missing", "/dev/null", dir + "/z"}
	var problems, good []string
	for f, err := range hashAll(t.Context(), pool, client, 4, find(t.Context(), client, paths)) {
		if err != nil {
			t.Fatal(err)
		}
		if f.err == nil {
			good = append(good, filepath.Base(f.path))
			continue
		}
		problems = append(problems, strings.TrimPrefix(f.problem(), dir+"/"))
		// then the error of reading, which has come from a runner, is what it was there,
		if f.path == bad && !errors.Is(f.err, syscall.EIO) {
			t.Errorf("%T: %v", f.err, f.err)
		}
	}
	// and the others are hashed.
	if want := []string{
		"memory: input/output error", "missing: no such file or directory",
		"/dev/null: neither a regular file nor a directory",
	}; !slices.Equal(problems, want) {
		t.Errorf("problems %q", problems)
	}
	if !slices.Equal(good, []string{"a", "z"}) {
		t.Errorf("hashed %q", good)
	}
}

func TestLeavingTheLoopEndsTheWork(t *testing.T) {
	// Given a file that is hashed at once and one that never is,
	pool, dir := open(t), tree(t, map[string]string{"first": "1"})
	huge(t, dir)
	// when the loop is left after the first, then nothing is left to wait for.
	for range hashAll(t.Context(), pool, client, 2, find(t.Context(), client, []string{dir + "/first", dir + "/huge"})) {
		break
	}
	if err := pool.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestTheCauseOfACancelledContextIsTheError(t *testing.T) {
	// Given a file that is hashed at once and one that never is,
	pool, dir := open(t), tree(t, map[string]string{"first": "1"})
	huge(t, dir)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	// when the context is cancelled after the first, then its cause comes instead of the second.
	enough := errors.New("enough")
	var got []error
	for _, err := range hashAll(ctx, pool, client, 2, find(ctx, client, []string{dir + "/first", dir + "/huge"})) {
		cancel(enough)
		got = append(got, err)
	}
	if !slices.Equal(got, []error{nil, enough}) {
		t.Errorf("got %v", got)
	}
}

func TestAPoolThatIsClosedIsTheError(t *testing.T) {
	pool := open(t)
	pool.Close()
	var got []error
	for _, err := range hashAll(t.Context(), pool, client, 4, find(t.Context(), client, []string{tree(t, odd())})) {
		got = append(got, err)
	}
	if len(got) != 1 || !errors.Is(got[0], flame.ErrPoolClosed) {
		t.Errorf("got %v, want one error, that the pool is closed", got)
	}
}

//go:build unix

package runner

import (
	"bytes"
	"io/fs"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// unclaimed is how long a process that has ended may wait for who started it. Programs wait for theirs at once.
const unclaimed = 2 * time.Second

// adopt waits for processes that have ended and that nobody else waits for. As process 1, which the first process of a container is,
// this one has for its children all whose parents have ended, and unless it waits for them they stay for ever. Its own it leaves to who
// started them. It does not return.
func adopt() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	proc := os.DirFS("/proc")
	for range ended {
		before := zombies(proc)
		<-time.After(unclaimed)
		for _, pid := range zombies(proc) {
			if slices.Contains(before, pid) {
				_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil) // somebody else may have done so just now
			}
		}
	}
}

// zombies returns the children of process 1 that have ended.
func zombies(proc fs.FS) (pids []int) {
	entries, err := fs.ReadDir(proc, ".")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := fs.ReadFile(proc, e.Name()+"/stat")
		if err != nil {
			continue // it is gone
		}
		// pid (name) state parent ...: the name may have anything in it, parentheses too
		rest := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(rest) > 1 && string(rest[0]) == "Z" && string(rest[1]) == "1" {
			pids = append(pids, pid)
		}
	}
	return pids
}

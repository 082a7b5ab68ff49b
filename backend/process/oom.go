package process

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"sync"
)

// ledger tells which processes were killed because memory ran out. The kernel does not say it of a process: it only
// counts such killings, of a control group or of the whole machine. So the ledger keeps how many it has explained.
type ledger struct {
	root fs.FS // of the file system

	mu        sync.Mutex
	explained map[counter]int64
}

// counter is where the kernel counts killings: a file, and the word before the number, "" if there is none.
type counter struct{ file, word string }

// page is what the ledger knew when a process began.
type page struct {
	counter   counter // the zero counter: nothing is known
	count     int64
	explained int64
}

func newLedger(root fs.FS) *ledger { return &ledger{root: root, explained: make(map[counter]int64)} }

// open begins the page of a process that has just been started.
func (l *ledger) open(pid int) page {
	for _, c := range l.counters(pid) {
		if n, ok := c.read(l.root); ok {
			l.mu.Lock()
			defer l.mu.Unlock()
			return page{c, n, l.explained[c]}
		}
	}
	return page{}
}

// isOOM says of a process that was killed whether that was because memory ran out: there is a killing since it began
// that no other process explains.
func (l *ledger) isOOM(p page) bool {
	n, ok := p.counter.read(l.root)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !ok || n-p.count <= l.explained[p.counter]-p.explained {
		return false
	}
	l.explained[p.counter]++
	return true
}

// counters returns where killings of a process may be counted, the most exact first.
func (l *ledger) counters(pid int) (all []counter) {
	groups, err := fs.ReadFile(l.root, fmt.Sprintf("proc/%d/cgroup", pid))
	mounts, failed := fs.ReadFile(l.root, "proc/self/mountinfo")
	if err == nil && failed == nil {
		if dir, ok := folder(groups, mounts, ""); ok {
			all = append(all, counter{dir + "/memory.events", "oom_kill"})
		}
		if dir, ok := folder(groups, mounts, "memory"); ok {
			all = append(all, counter{dir + "/memory.oom_control", "oom_kill"}, counter{dir + "/memory.failcnt", ""})
		}
	}
	return append(all, counter{"proc/vmstat", "oom_kill"})
}

func (c counter) read(root fs.FS) (int64, bool) {
	text, err := fs.ReadFile(root, c.file)
	if err != nil {
		return 0, false
	}
	for line := range bytes.Lines(text) {
		words := strings.Fields(string(line))
		if c.word == "" {
			words = append([]string{""}, words...)
		}
		if len(words) == 2 && words[0] == c.word {
			n, err := strconv.ParseInt(words[1], 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

// folder returns that of a process's control group in a hierarchy of version 1, or with "" in that of version 2, as a
// path from the root. groups and mounts are the kernel's files cgroup and mountinfo.
func folder(groups, mounts []byte, hierarchy string) (string, bool) {
	for line := range bytes.Lines(groups) {
		f := strings.SplitN(strings.TrimSpace(string(line)), ":", 3) // number, controllers, path
		if len(f) != 3 || !has(f[1], hierarchy) || hierarchy == "" && f[0] != "0" {
			continue
		}
		for mount := range bytes.Lines(mounts) {
			if dir, ok := inMount(string(mount), f[2], hierarchy); ok {
				return dir, true
			}
		}
	}
	return "", false
}

// inMount returns where the control group is if the mount has it.
func inMount(mount, group, hierarchy string) (string, bool) {
	place, kind, ok := strings.Cut(mount, " - ")
	f, k := strings.Fields(place), strings.Fields(kind) // …, …, …, root, point, …; type, source, options
	if !ok || len(f) < 5 || len(k) < 3 {
		return "", false
	}
	switch {
	case hierarchy == "" && k[0] != "cgroup2":
		return "", false
	case hierarchy != "" && (k[0] != "cgroup" || !has(k[2], hierarchy)):
		return "", false
	}
	below, ok := strings.CutPrefix(group+"/", strings.TrimSuffix(f[3], "/")+"/")
	return strings.TrimPrefix(path.Join(f[4], below), "/"), ok
}

// has says whether a list with commas has the word.
func has(list, word string) bool {
	for one := range strings.SplitSeq(list, ",") {
		if one == word {
			return true
		}
	}
	return false
}

package process

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestN14_KillingsAreCountedWhereverTheKernelDoes(t *testing.T) {
	for name, want := range map[string]int64{
		"version 2": 2, "version 2 in a container": 3, "version 2 without a namespace": 4,
		"version 1": 5, "version 1 in a container": 6, "version 1 of an old kernel": 7,
		"both versions": 8, "no control groups": 9, "nothing": 0,
	} {
		l := newLedger(os.DirFS(filepath.Join("testdata", "oom", name)))
		p := l.open(7)
		if known := want > 0; p.count != want || (p.counter != counter{}) != known {
			t.Errorf("%s: %d in %q", name, p.count, p.counter.file)
		}
		if l.isOOM(p) {
			t.Errorf("%s: a process was killed before it began", name)
		}
	}
}

func TestN14_AKillingIsExplainedOnce(t *testing.T) {
	// Given a control group with three processes in which two killings were counted before.
	root := t.TempDir()
	if err := os.CopyFS(root, os.DirFS("testdata/oom/version 2")); err != nil {
		t.Fatal(err)
	}
	l := newLedger(os.DirFS(root))
	first, second, third := l.open(7), l.open(7), l.open(7)
	// When one more is counted, and two of the processes were killed, it explains the first of them.
	count(t, root, "oom_kill 2", "oom_kill 3")
	if !l.isOOM(first) || l.isOOM(second) {
		t.Error("one killing, two processes")
	}
	// Then those that begin later have nothing to do with it, and the next one explains one more.
	fourth := l.open(7)
	if l.isOOM(fourth) {
		t.Error("a killing explains a process that began after it")
	}
	count(t, root, "oom_kill 3", "oom_kill 5")
	if !l.isOOM(third) || !l.isOOM(fourth) || l.isOOM(l.open(7)) {
		t.Error("two killings, two processes")
	}
}

// count has the kernel count.
func count(t *testing.T, root, before, after string) {
	t.Helper()
	name := filepath.Join(root, "sys/fs/cgroup/user.slice/app.service/memory.events")
	text, err := os.ReadFile(name)
	if err == nil {
		err = os.WriteFile(name, []byte(strings.Replace(string(text), before, after, 1)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

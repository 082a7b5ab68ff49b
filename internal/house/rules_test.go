package house

import (
	"fmt"
	"strings"
	"testing"
)

// files is a small repository: text by path.
type files map[string]string

// TestRules_bite sees every rule find what it is for, and let pass what it is not for.
func TestRules_bite(t *testing.T) {
	for _, r := range rules {
		cases, ok := examples[r.name]
		if !ok {
			t.Errorf("%s: nothing shows that it bites", r.name)
		}
		for i, bad := range cases.bad {
			t.Run(fmt.Sprint(r.name, "/bad/", i), func(t *testing.T) {
				if got := r.broken(bad.house(t)); len(got) != 1 {
					t.Errorf("found %v, want one breach", got)
				}
			})
		}
		for i, good := range cases.good {
			t.Run(fmt.Sprint(r.name, "/good/", i), func(t *testing.T) {
				if got := r.broken(good.house(t)); len(got) != 0 {
					t.Errorf("found %v", got)
				}
			})
		}
	}
}

func (f files) house(t *testing.T) house {
	t.Helper()
	h := newHouse()
	for p, text := range f {
		if err := h.add(p, text); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

const flameImport = "import _ \"github.com/fleetinglambda/flame"

// examples are repositories that break a rule once, and ones that do not.
var examples = map[string]struct{ bad, good []files }{
	"arrows": {
		bad: []files{
			{"internal/pool/pool.go": "package pool\n" + flameImport + "/internal/codec\""},
			{"internal/wire/frame.go": "package wire\n" + flameImport + "\""},
			{"examples/hash/main.go": "package main\n" + flameImport + "/internal/pool\""},
			{"internal/other/other.go": "package other"},
		},
		good: []files{
			{"internal/pool/pool.go": "package pool\n" + flameImport + "/backend\""},
			{"internal/pool/pool_test.go": "package pool\n" + flameImport + "/internal/codec\""},
			{"examples/hash/main.go": "package main\n" + flameImport + "\"\n" + flameImport + "/examples/other\""},
			{"call.go": "package flame\n" + flameImport + "/internal/codec\""},
		},
	},
	"modules of others": {
		bad: []files{{"internal/pool/pool.go": "package pool\nimport _ \"golang.org/x/sys/unix\""}},
		good: []files{
			{"internal/image/amd64.go": "package image\nimport _ \"golang.org/x/arch/x86/x86asm\"\nimport _ \"go/ast\""},
			{"bench/grpc.go": "package bench\nimport _ \"google.golang.org/grpc\""},
		},
	},
	"size": {
		bad: []files{
			{"a.go": "package a\nfunc f() {\n" + strings.Repeat("\n", longestFunction-1) + "}\n"},
			{"a.go": "package a\n" + strings.Repeat("\n", longestFile)},
		},
		good: []files{{"a.go": "package a\nfunc f() {\n" + strings.Repeat("\n", longestFunction-2) + "}\n"}},
	},
	"names": {
		bad: []files{
			{"pool_util.go": "package flame"},
			{"a.go": "package a\ntype PoolManager int"},
			{"a.go": "package a\nfunc startWorker() {}"},
		},
		good: []files{{"a.go": "package a\nfunc utility() {}"}},
	},
	"no bare go": {
		bad:  []files{{"a.go": "package a\nfunc f() { go f() }"}, {"a_test.go": "package a\nfunc f() { go f() }"}},
		good: []files{{"a.go": "package a\nfunc f() { wg.Go(f) }"}},
	},
	"no init": {
		bad:  []files{{"a.go": "package a\nfunc init() {}"}},
		good: []files{{"a.go": "package a\ntype t int\nfunc (t) init() {}"}},
	},
	"no mutable globals": {
		bad: []files{
			{"a.go": "package a\nvar n int"},
			{"a.go": "package a\nimport \"sync\"\nvar s struct { mu sync.Mutex; n int }"},
			{"a.go": "package a\nvar n = 1", "b.go": "package a\nfunc f() { n++ }"},
			{"a.go": "package a\nvar m = map[int]int{}\nfunc f() { m[1] = 2 }"},
			{"a.go": "package a\nvar m = map[int]int{}\nfunc f() { delete(m, 1) }"},
			{"a.go": "package a\nvar p = open()\nfunc open() int"},
			{"a.go": "package a\nvar p = struct{ x int }{}\nfunc f() *int { return &p.x }"},
		},
		good: []files{
			{"a.go": "package a\nimport (\"errors\"; \"sync\")\nvar ErrX = errors.New(\"x\")\nvar plans sync.Map\nvar b = []byte(\"x\")"},
			{"a.go": "package a\nvar n = 1\nfunc f() int { n := n; n++; return n }"},
			{"a.go": "package a\nvar m = map[int]func() int{1: func() int { return f() }}\nfunc f() int"},
			{"a.go": "package a\nimport \"sync\"\nvar plans struct { mu sync.Mutex; done sync.Map }"},
			{"a_test.go": "package a\nvar n int"},
		},
	},
	"unsafe": {
		bad:  []files{{"internal/pool/a.go": "package pool\nimport \"unsafe\""}},
		good: []files{{"internal/codec/a.go": "package codec\nimport \"unsafe\""}},
	},
	"skips say why": {
		bad:  []files{{"a_test.go": "package a\nfunc f() { t.Skip() }"}, {"a_test.go": "package a\nfunc f() { t.SkipNow() }"}},
		good: []files{{"a_test.go": "package a\nfunc f() { t.Skip(\"no /proc here\") }"}},
	},
	"no sleep in tests": {
		bad: []files{{"a_test.go": "package a\nimport \"time\"\nfunc f() { time.Sleep(1) }"}},
		good: []files{
			{"a.go": "package a\nimport \"time\"\nfunc f() { time.Sleep(1) }"},
			{"a_test.go": "package a\nimport (\"time\"; _ \"testing/synctest\")\nfunc f() { time.Sleep(1) }"},
		},
	},
	"documented": {
		bad: []files{
			{"a.go": "package a\nfunc F() {}"},
			{"a.go": "package a\n// T is.\ntype T[P any] int\nfunc (*T[P]) F() {}"},
			{"a.go": "package a\nconst X = 1"},
		},
		good: []files{{"a.go": "package a\n// F does.\nfunc F() {}\ntype t int\nfunc (t) F() {}"}},
	},
	"packages documented": {
		bad:  []files{{"a.go": "package a", "b.go": "package a"}},
		good: []files{{"a.go": "// Package a is.\npackage a", "b.go": "package a", "c/c_test.go": "package c"}},
	},
	"no machine paths": {
		bad:  []files{{"README.md": "see /wo" + "rk/main"}, {"a.go": "package a // /ro" + "ot/x"}},
		good: []files{{"README.md": "see docs/wo" + "rk/main, $HOME/ro" + "ot/x"}},
	},
	"dependencies have a reason": {
		bad: []files{
			{"go.mod": "module m\n\nrequire (\n\ta.b/c v1\n)\n"},
			{"go.mod": "module m\n", reasons: "## m\n- `a.b/c` does.\n"},
			{"go.mod": "module m\nrequire a.b/c v1\n", reasons: "## other\n- `a.b/c` does.\n"},
		},
		good: []files{{"go.mod": "module m\nrequire a.b/c v1\nrequire x.y/z v1 // indirect\n", reasons: "## m\n- `a.b/c` does.\n"}},
	},
}

package house

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// A rule looks at the whole repository and names every place that breaks it.
type rule struct {
	name   string
	broken func(house) []breach
}

// rules are all there are. Each is tested against text that breaks it, in rules_test.go.
var rules = []rule{
	{"arrows", perFile(wrongArrows)},
	{"modules of others", perFile(strangeImports)},
	{"size", perFile(tooLong)},
	{"names", perFile(bannedNames)},
	{"no bare go", perFile(bareGo)},
	{"no init", perFile(inits)},
	{"no mutable globals", mutableGlobals},
	{"unsafe", perFile(unsafeImports)},
	{"skips say why", perFile(silentSkips)},
	{"no sleep in tests", perFile(sleeps)},
	{"documented", perFile(undocumented)},
	{"packages documented", undocumentedPackages},
	{"no machine paths", machinePaths},
	{"dependencies have a reason", unexplainedDependencies},
}

// A breach is a place that breaks a rule.
type breach struct {
	path string
	line int
	what string
}

// An exception is a file in which a rule may be broken.
type exception struct{ rule, path, reason string }

// TestRules holds the repository to its rules.
func TestRules(t *testing.T) {
	h, err := read(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	if len(h.sources) < 10 {
		t.Fatalf("only %d Go files found", len(h.sources))
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			allowed := map[string]bool{}
			for _, e := range exceptions {
				if e.rule == r.name {
					allowed[e.path] = true
				}
			}
			needed := map[string]bool{}
			for _, b := range r.broken(h) {
				needed[b.path] = true
				if !allowed[b.path] {
					t.Errorf("%s:%d: %s", b.path, b.line, b.what)
				}
			}
			for p := range allowed {
				if !needed[p] {
					t.Errorf("%s: the exception is not needed any more", p)
				}
			}
		})
	}
}

// A house is a repository: its Go files and the text of all files.
type house struct {
	fset    *token.FileSet
	sources []*source
	texts   map[string]string
}

func newHouse() house { return house{fset: token.NewFileSet(), texts: map[string]string{}} }

// A source is a Go file, parsed.
type source struct {
	path string // from the top, with slashes
	text string
	fset *token.FileSet
	file *ast.File
}

// read reads a repository. What git ignores and what tests keep as data is no source.
func read(top fs.FS) (house, error) {
	h := newHouse()
	err := fs.WalkDir(top, ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (p == ".git" || p == "bin"):
			return fs.SkipDir
		case !d.Type().IsRegular() || slices.Contains([]string{".test", ".out", ".prof"}, path.Ext(p)):
			return nil
		}
		text, err := fs.ReadFile(top, p)
		if err != nil || !utf8.Valid(text) {
			return err
		}
		return h.add(p, string(text))
	})
	return h, err
}

func (h *house) add(p, text string) error {
	h.texts[p] = text
	if path.Ext(p) != ".go" || strings.Contains("/"+p, "/testdata/") {
		return nil
	}
	s := &source{path: p, text: text, fset: h.fset}
	var err error
	s.file, err = parser.ParseFile(s.fset, p, text, parser.ParseComments|parser.SkipObjectResolution)
	h.sources = append(h.sources, s)
	return err
}

// perFile makes a rule of one that needs to see only one file.
func perFile(broken func(*source) []breach) func(house) []breach {
	return func(h house) (all []breach) {
		for _, s := range h.sources {
			all = append(all, broken(s)...)
		}
		return all
	}
}

// breach returns a breach at a place in the file.
func (s *source) breach(at ast.Node, format string, args ...any) breach {
	return breach{s.path, s.line(at.Pos()), fmt.Sprintf(format, args...)}
}

func (s *source) line(pos token.Pos) int { return s.fset.Position(pos).Line }

// folder is the file's folder, "." for the top.
func (s *source) folder() string { return path.Dir(s.path) }

func (s *source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

// isProduct says whether the file is part of what users import: no test, and not in a module of programs.
func (s *source) isProduct() bool { return !s.isTest() && moduleOf(s.path) == "." }

// moduleOf returns the folder of the module that a file belongs to.
func moduleOf(p string) string {
	for _, m := range []string{"backend/docker", "backend/fly", "backend/kubernetes", "cmd/flame"} {
		if p == m || strings.HasPrefix(p, m+"/") {
			return m
		}
	}
	first, _, _ := strings.Cut(p, "/")
	if slices.Contains([]string{"bench", "e2e", "examples"}, first) {
		return first
	}
	return "."
}

// imports returns the paths that a file imports.
func (s *source) imports() map[string]*ast.ImportSpec {
	all := map[string]*ast.ImportSpec{}
	for _, spec := range s.file.Imports {
		all[strings.Trim(spec.Path.Value, `"`)] = spec
	}
	return all
}

// find returns a breach for each node that broken finds wrong: it returns what, or "".
func (s *source) find(broken func(ast.Node) string) (all []breach) {
	ast.Inspect(s.file, func(n ast.Node) bool {
		if n == nil {
			return false
		}
		if what := broken(n); what != "" {
			all = append(all, s.breach(n, "%s", what))
		}
		return true
	})
	return all
}

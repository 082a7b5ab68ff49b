package house

import (
	"go/ast"
	"path"
	"slices"
	"strings"
	"unicode"
)

const (
	longestFunction = 70
	longestFile     = 500
)

func tooLong(s *source) (all []breach) {
	if ast.IsGenerated(s.file) {
		return nil
	}
	if n := strings.Count(s.text, "\n"); n > longestFile {
		all = append(all, s.breach(s.file, "%d lines; a file has at most %d", n, longestFile))
	}
	for _, decl := range s.file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if n := s.line(f.End()) - s.line(f.Pos()) + 1; n > longestFunction {
			all = append(all, s.breach(f, "%s has %d lines; a function has at most %d", f.Name.Name, n, longestFunction))
		}
	}
	return all
}

// banned are names that say nothing, and words for which the project has another.
var banned = []string{
	"util", "utils", "common", "helper", "helpers", "misc", "manager", "master", "slave", "worker",
}

func bannedNames(s *source) (all []breach) {
	stem := strings.TrimSuffix(path.Base(s.path), ".go")
	for _, name := range append(strings.Split(stem, "_"), path.Base(s.folder()), s.file.Name.Name) {
		if slices.Contains(banned, name) {
			all = append(all, s.breach(s.file, "%q says nothing", name))
		}
	}
	for _, decl := range s.file.Decls {
		for _, id := range declared(decl) {
			for _, word := range words(id.Name) {
				if slices.Contains(banned, word) {
					all = append(all, s.breach(id, "%s: %q is no word of this project", id.Name, word))
				}
			}
		}
	}
	return all
}

// declared returns the names that a declaration at the top of a file makes.
func declared(decl ast.Decl) (ids []*ast.Ident) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		return []*ast.Ident{d.Name}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				ids = append(ids, s.Name)
			case *ast.ValueSpec:
				ids = append(ids, s.Names...)
			}
		}
	}
	return ids
}

// words splits a name in mixed caps into its words, in lower case.
func words(name string) (all []string) {
	begun := 0
	for i, r := range name {
		if i > 0 && unicode.IsUpper(r) {
			all = append(all, strings.ToLower(name[begun:i]))
			begun = i
		}
	}
	return append(all, strings.ToLower(name[begun:]))
}

func bareGo(s *source) []breach {
	return s.find(func(n ast.Node) string {
		if _, ok := n.(*ast.GoStmt); ok {
			return "a goroutine needs an owner that waits: wg.Go(f)"
		}
		return ""
	})
}

func inits(s *source) []breach {
	return s.find(func(n ast.Node) string {
		if f, ok := n.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
			return "no init: what has to happen is called by who needs it"
		}
		return ""
	})
}

func silentSkips(s *source) []breach {
	return s.find(func(n ast.Node) string {
		call, ok := n.(*ast.CallExpr)
		if !ok || !s.isTest() {
			return ""
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !strings.HasPrefix(sel.Sel.Name, "Skip") || len(call.Args) > 0 {
			return ""
		}
		return sel.Sel.Name + " without a reason"
	})
}

// sleeps finds waiting for luck. In a synctest bubble time is not real, so there it is no waiting.
func sleeps(s *source) []breach {
	if _, bubble := s.imports()["testing/synctest"]; bubble || !s.isTest() {
		return nil
	}
	return s.find(func(n ast.Node) string {
		if sel, ok := n.(*ast.SelectorExpr); ok && named(sel, "time", "Sleep") {
			return "a test waits for what happens, or sleeps in a synctest bubble"
		}
		return ""
	})
}

func named(sel *ast.SelectorExpr, pkg, name string) bool {
	id, ok := sel.X.(*ast.Ident)
	return ok && id.Name == pkg && sel.Sel.Name == name
}

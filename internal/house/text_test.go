package house

import (
	"go/ast"
	"path"
	"regexp"
	"slices"
	"strings"
)

func undocumented(s *source) (all []breach) {
	if !s.isProduct() {
		return nil
	}
	for _, decl := range s.file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && exportedReceiver(d) && d.Doc == nil {
				all = append(all, s.breach(d, "%s has no comment", d.Name.Name))
			}
		case *ast.GenDecl:
			all = append(all, undocumentedSpecs(s, d)...)
		}
	}
	return all
}

// undocumentedSpecs looks at types, variables and constants. One comment may stand over a group.
func undocumentedSpecs(s *source, d *ast.GenDecl) (all []breach) {
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if spec.Name.IsExported() && d.Doc == nil && spec.Doc == nil {
				all = append(all, s.breach(spec, "%s has no comment", spec.Name.Name))
			}
		case *ast.ValueSpec:
			if spec.Names[0].IsExported() && d.Doc == nil && spec.Doc == nil && spec.Comment == nil {
				all = append(all, s.breach(spec, "%s has no comment", spec.Names[0].Name))
			}
		}
	}
	return all
}

func exportedReceiver(f *ast.FuncDecl) bool {
	if f.Recv == nil {
		return true
	}
	t := f.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	if index, ok := t.(*ast.IndexExpr); ok {
		t = index.X
	}
	id, ok := t.(*ast.Ident)
	return !ok || id.IsExported()
}

func undocumentedPackages(h house) (all []breach) {
	first, documented := map[string]*source{}, map[string]bool{}
	for _, s := range h.sources {
		if s.isTest() {
			continue
		}
		if first[s.folder()] == nil {
			first[s.folder()] = s
		}
		documented[s.folder()] = documented[s.folder()] || s.file.Doc != nil
	}
	for folder, s := range first {
		if !documented[folder] {
			all = append(all, s.breach(s.file, "package %s has no comment", s.file.Name.Name))
		}
	}
	return all
}

// machinePath matches a path of the machine that something was written on. The words are taken apart so that this
// file does not match.
var machinePath = regexp.MustCompile(`(^|[^\w.\-/}])/(wo` + `rk|ro` + `ot|ho` + `me)/\w`)

func machinePaths(h house) (all []breach) {
	for p, text := range h.texts {
		for i, line := range strings.Split(text, "\n") {
			if found := machinePath.FindString(line); found != "" {
				all = append(all, breach{p, i + 1, "a path of one machine: " + found})
			}
		}
	}
	return all
}

const reasons = "docs/dependencies.md"

// unexplainedDependencies compares what each go.mod requires directly with the list of reasons, both ways.
func unexplainedDependencies(h house) (all []breach) {
	explained := explanations(h.texts[reasons])
	for p, text := range h.texts {
		if path.Base(p) != "go.mod" {
			continue
		}
		name, required := requirements(text)
		for _, dep := range required {
			if _, ok := strings.CutPrefix(dep, module); !ok && !slices.Contains(explained[name], dep) {
				all = append(all, breach{p, 1, dep + " has no reason in " + reasons})
			}
		}
		for _, dep := range explained[name] {
			if !slices.Contains(required, dep) {
				all = append(all, breach{reasons, 1, name + " does not require " + dep + " directly"})
			}
		}
	}
	return all
}

// requirements returns a module's name and what its go.mod requires directly.
func requirements(text string) (name string, direct []string) {
	inBlock := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		fields := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "module "):
			name = fields[1]
		case line == "require (":
			inBlock = true
		case line == ")":
			inBlock = false
		case strings.HasSuffix(line, "// indirect"):
		case inBlock && len(fields) > 0:
			direct = append(direct, fields[0])
		case strings.HasPrefix(line, "require "):
			direct = append(direct, fields[1])
		}
	}
	return name, direct
}

var reasonLine = regexp.MustCompile("^- `([^`]+)` .+\\.$")

// explanations returns the dependencies that have a reason, by module.
func explanations(text string) map[string][]string {
	all, under := map[string][]string{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if title, ok := strings.CutPrefix(line, "## "); ok {
			under = title
		} else if found := reasonLine.FindStringSubmatch(line); found != nil {
			all[under] = append(all[under], found[1])
		}
	}
	return all
}

package house

import (
	"errors"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
)

// mutableGlobals finds package-level variables that are more than a name for a value: set somewhere, or made by
// code that may do anything. Programs and tests may have them.
func mutableGlobals(h house) (all []breach) {
	folders := map[string][]*source{}
	for _, s := range h.sources {
		if s.isProduct() {
			folders[s.folder()] = append(folders[s.folder()], s)
		}
	}
	for _, sources := range folders {
		all = append(all, globalsOf(sources)...)
	}
	return all
}

// nothing imports nothing: what is declared in the package itself is all that is asked for.
type nothing struct{}

// Import returns an error.
func (nothing) Import(string) (*types.Package, error) { return nil, errors.New("not imported") }

func globalsOf(sources []*source) (all []breach) {
	info, pkg := resolve(sources)
	written := map[types.Object]bool{}
	for _, s := range sources {
		ast.Inspect(s.file, func(n ast.Node) bool {
			for _, e := range writes(n) {
				if v := info.Uses[root(e)]; v != nil && v.Parent() == pkg.Scope() {
					written[v] = true
				}
			}
			return true
		})
	}
	for _, s := range sources {
		for _, spec := range variables(s.file) {
			for i, name := range spec.Names {
				if what := judge(info, spec, i); what != "" {
					all = append(all, s.breach(name, "%s %s", name.Name, what))
				} else if written[info.Defs[name]] {
					all = append(all, s.breach(name, "%s is set somewhere", name.Name))
				}
			}
		}
	}
	return all
}

// resolve finds out which name means what. The sources are of one package, perhaps for several platforms.
func resolve(sources []*source) (*types.Info, *types.Package) {
	info := &types.Info{
		Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{},
		Types: map[ast.Expr]types.TypeAndValue{},
	}
	files := make([]*ast.File, len(sources))
	for i, s := range sources {
		files[i] = s.file
	}
	config := types.Config{Importer: nothing{}, Error: func(error) {}}
	pkg, _ := config.Check(files[0].Name.Name, sources[0].fset, files, info) // what is imported is unknown: that is no error here
	return info, pkg
}

func variables(f *ast.File) (all []*ast.ValueSpec) {
	for _, decl := range f.Decls {
		if d, ok := decl.(*ast.GenDecl); ok && d.Tok == token.VAR {
			for _, spec := range d.Specs {
				all = append(all, spec.(*ast.ValueSpec))
			}
		}
	}
	return all
}

// judge says what is wrong with the i-th variable of a declaration, judged by the declaration alone.
func judge(info *types.Info, spec *ast.ValueSpec, i int) string {
	switch {
	case spec.Names[i].Name == "_":
		return ""
	case len(spec.Values) == 0:
		if isCache(spec.Type) {
			return ""
		}
		return "has no value yet, so it will be set"
	}
	what := ""
	ast.Inspect(spec.Values[min(i, len(spec.Values)-1)], func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && !plain(info, call) {
			what = "is made by code that may do anything"
		}
		_, code := n.(*ast.FuncLit)
		return !code
	})
	return what
}

// isCache says whether a type is sync.Once or sync.Map, or a struct of nothing else and their locks: what was found
// out once about the program itself.
func isCache(t ast.Expr) bool {
	switch t := t.(type) {
	case *ast.SelectorExpr:
		return named(t, "sync", "Once") || named(t, "sync", "Map") || named(t, "sync", "Mutex")
	case *ast.StructType:
		return !slices.ContainsFunc(t.Fields.List, func(f *ast.Field) bool { return !isCache(f.Type) })
	}
	return false
}

// makers are functions whose result is never changed.
var makers = [][2]string{
	{"errors", "New"},
	{"fmt", "Errorf"},
	{"reflect", "TypeFor"},
	{"reflect", "TypeOf"},
	{"regexp", "MustCompile"},
	{"sync", "OnceValue"},
	{"sync", "OnceValues"},
	{"template", "Must"},
}

// plain says whether a call is a conversion, a len, or one of a maker.
func plain(info *types.Info, call *ast.CallExpr) bool {
	fun := call.Fun
	if index, ok := fun.(*ast.IndexExpr); ok {
		fun = index.X
	}
	switch f := fun.(type) {
	case *ast.SelectorExpr:
		return slices.ContainsFunc(makers, func(m [2]string) bool { return named(f, m[0], m[1]) })
	case *ast.Ident:
		if f.Name == "len" {
			return true
		}
	}
	return info.Types[fun].IsType()
}

// writes returns what a node changes, or lets others change.
func writes(n ast.Node) []ast.Expr {
	switch n := n.(type) {
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			return n.Lhs
		}
	case *ast.IncDecStmt:
		return []ast.Expr{n.X}
	case *ast.RangeStmt:
		if n.Tok == token.ASSIGN {
			return []ast.Expr{n.Key, n.Value}
		}
	case *ast.UnaryExpr:
		if n.Op == token.AND {
			return []ast.Expr{n.X}
		}
	case *ast.CallExpr:
		if id, ok := n.Fun.(*ast.Ident); ok && (id.Name == "delete" || id.Name == "clear") && len(n.Args) > 0 {
			return n.Args[:1]
		}
	}
	return nil
}

// root returns the variable that an expression is a part of, or nil.
func root(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.ParenExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		default:
			return nil
		}
	}
}

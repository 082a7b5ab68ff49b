package house

import (
	"slices"
	"strings"
)

const module = "github.com/fleetinglambda/flame"

// arrows says which rooms a room may import, as ARCHITECTURE.md does. Tests may import more.
var arrows = map[string][]string{
	".": {
		"backend", "backend/process",
		"internal/codec", "internal/dialback", "internal/image", "internal/lend", "internal/pool", "internal/runner", "internal/session",
	},
	"backend":             {},
	"backend/backendtest": {".", "backend"},
	"backend/inproc":      {"backend", "internal/runner"},
	"backend/process":     {"backend"},
	"flametest":           {".", "backend", "backend/inproc", "internal/codec", "internal/lend"},
	"internal/codec":      {"internal/image"},
	"internal/dialback":   {"internal/line"},
	"internal/faults":     {},
	"internal/house":      {},
	"internal/lend":       {"internal/codec", "internal/image"},
	"internal/image":      {},
	"internal/line":       {},
	"internal/pool":       {"backend", "internal/session"},
	"internal/runner":     {"backend", "backend/process", "internal/codec", "internal/dialback", "internal/image", "internal/lend", "internal/session"},
	"internal/seeded":     {},
	"internal/session":    {"internal/wire"},
	"internal/load":       {"."},
	"internal/simulation": {},
	"internal/soak":       {".", "backend", "backend/process", "internal/load"},
	"internal/wire":       {},
}

// public is what programs in the modules beside the root may import of it.
var public = []string{".", "backend", "backend/backendtest", "backend/inproc", "backend/process", "flametest"}

// beside says which modules beside the root one of them may import.
var beside = map[string][]string{
	"cmd/flame": {"backend/docker", "backend/fly", "backend/kubernetes"},
	"examples":  {"backend/docker", "backend/fly", "backend/kubernetes"},
}

// strangers says which modules of others the rooms of the root import.
var strangers = map[string][]string{
	"internal/image":   {"golang.org/x/arch"},
	"internal/session": {"golang.org/x/sys"},
	"internal/runner":  {"golang.org/x/sys"},
	"backend/process":  {"golang.org/x/sys"},
}

func wrongArrows(s *source) (all []breach) {
	if s.isTest() {
		return nil
	}
	allowed, known := arrows[s.folder()]
	if moduleOf(s.path) != "." {
		allowed, known = slices.Concat(public, beside[moduleOf(s.path)]), true
	}
	if !known {
		return []breach{s.breach(s.file, "%s is no room of ARCHITECTURE.md", s.folder())}
	}
	for imported, spec := range s.imports() {
		room, ours := roomOf(imported)
		if ours && moduleOf(room+"/") != moduleOf(s.path) || ours && moduleOf(s.path) == "." {
			if !slices.Contains(allowed, room) {
				all = append(all, s.breach(spec, "%s must not import %s", s.folder(), room))
			}
		}
	}
	return all
}

// roomOf returns the folder of an imported package of ours.
func roomOf(imported string) (room string, ours bool) {
	if imported == module {
		return ".", true
	}
	return strings.CutPrefix(imported, module+"/")
}

func strangeImports(s *source) (all []breach) {
	if !s.isProduct() {
		return nil
	}
	for imported, spec := range s.imports() {
		first, _, _ := strings.Cut(imported, "/")
		if _, ours := roomOf(imported); ours || !strings.Contains(first, ".") {
			continue
		}
		in := func(m string) bool { return imported == m || strings.HasPrefix(imported, m+"/") }
		if !slices.ContainsFunc(strangers[s.folder()], in) {
			all = append(all, s.breach(spec, "%s must not import %s", s.folder(), imported))
		}
	}
	return all
}

func unsafeImports(s *source) []breach {
	spec := s.imports()["unsafe"]
	if spec == nil || s.folder() == "internal/image" || s.folder() == "internal/codec" {
		return nil
	}
	return []breach{s.breach(spec, "unsafe belongs into internal/image and internal/codec")}
}

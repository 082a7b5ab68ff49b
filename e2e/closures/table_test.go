package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// table holds what the program has said in each mode.
type table map[string]result

type result struct {
	kinds   []string // in their order
	figures map[string]string
	refused []string
}

// read reads what the program said.
func (r table) read(t *testing.T, mode, out string, ok bool) {
	t.Helper()
	res := result{figures: make(map[string]string)}
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "WRONG "):
			t.Error(line)
		case strings.HasPrefix(line, "refused "):
			res.refused = append(res.refused, line)
		case strings.HasPrefix(line, "kind\t"):
			f := strings.Split(line, "\t")
			res.kinds = append(res.kinds, f[1])
			if res.figures[f[1]] = f[2]; f[3] != "0" {
				res.figures[f[1]] += " (" + f[3] + ")"
			}
		case strings.HasSuffix(line, " refused"), strings.HasSuffix(line, " crossed"):
			t.Log(line)
		}
	}
	if !ok || len(res.kinds) == 0 {
		t.Errorf("the program has failed:\n%.2000s", out)
	}
	r[mode] = res
}

// write puts the table and the refusals between the markers of a page.
func (r table) write(t *testing.T, page string) {
	t.Helper()
	var names []string
	for _, m := range modes() {
		if _, ran := r[m.name]; ran {
			names = append(names, m.name)
		}
	}
	names = append(names, "go run", "go test")
	var b strings.Builder
	fmt.Fprintf(&b, "\n| kind of capture | %s |\n|---|%s\n", strings.Join(names, " | "), strings.Repeat("---|", len(names)))
	for _, k := range r["go test"].kinds {
		fmt.Fprintf(&b, "| %s |", k)
		for _, n := range names {
			fmt.Fprintf(&b, " %s |", r[n].figures[k])
		}
		b.WriteString("\n")
	}
	refused := make(map[string]bool)
	for _, res := range r {
		for _, line := range res.refused {
			name, reason, _ := strings.Cut(strings.TrimPrefix(line, "refused "), ": flame: cannot cross: ")
			refused[fmt.Sprintf("- %s: …%s", name, reason[strings.LastIndex(reason, "): ")+2:])] = true
		}
	}
	fmt.Fprintf(&b, "\nRefused, in any of these:\n\n%s\n\n", strings.Join(slices.Sorted(maps.Keys(refused)), "\n"))
	const begin, end = "<!-- begin: make proof -->", "<!-- end: make proof -->"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no markers %s and %s", page, begin, end)
	}
	if err := os.WriteFile(page, []byte(before+begin+"\n"+b.String()+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/fleetinglambda/flame/e2e/page"
)

// table holds what the program has said in each mode.
type table map[string]result

type result struct {
	kinds   []string // in their order
	figures map[string]string
	refused []string
	barred  []string
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
		case strings.HasPrefix(line, "barred "):
			res.barred = append(res.barred, line)
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
func (r table) write(t *testing.T, file string) {
	t.Helper()
	var names []string
	for _, m := range modes() {
		if _, ran := r[m.name]; ran {
			names = append(names, m.name)
		}
	}
	names = append(names, "go run", "go test")
	var b strings.Builder
	fmt.Fprintf(&b, "| kind of capture | %s |\n|---|%s\n", strings.Join(names, " | "), strings.Repeat("---|", len(names)))
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
			refused[reason(line)] = true
		}
	}
	fmt.Fprintf(&b, "\nRefused in at least one of these ways, though they might cross:\n\n%s\n", strings.Join(slices.Sorted(maps.Keys(refused)), "\n"))
	fmt.Fprint(&b, "\nRefused in all of them, as it has to be:\n\n")
	for _, line := range r["go test"].barred {
		fmt.Fprintln(&b, reason(line))
	}
	if err := page.Fill(file, "make proof", b.String()); err != nil {
		t.Fatal(err)
	}
}

// reason makes an item of a list of what the program says about a closure that is refused: its name, and the last
// part of the error.
func reason(line string) string {
	_, line, _ = strings.Cut(line, " ")
	name, why, _ := strings.Cut(line, ": flame: cannot cross: ")
	for _, last := range []string{" → ", ": captured ", "): "} {
		if i := strings.LastIndex(why, last); i >= 0 {
			why = why[i+len(last):]
		}
	}
	return "- " + name + ": " + why
}

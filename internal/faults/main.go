// Command faults brings about every fault that was thought of, by running the tests that do, and writes what came of it into
// docs/faults.md. It runs at the top of the repository. Tests that need an engine run with the script that starts it.
package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
)

const (
	page = "docs/faults.md"
	// keep is where the part begins that is written by hand.
	keep = "\n## A day in the life\n"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(1)
	}
}

func run() error {
	old, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	_, byHand, found := bytes.Cut(old, []byte(keep))
	if !found {
		return fmt.Errorf("%s has no section %q: it would be lost", page, strings.TrimSpace(keep))
	}
	results := make(map[string]result)
	for _, folder := range slices.Sorted(maps.Keys(wanted())) {
		fmt.Println("--", folder)
		if err := test(folder, wanted()[folder], results); err != nil {
			return err
		}
	}
	var text strings.Builder
	failed := write(&text, results)
	text.WriteString(keep)
	text.Write(byHand)
	if err := os.WriteFile(page, []byte(text.String()), 0o644); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d tests failed", failed)
	}
	return nil
}

// wanted are the tests to run, by folder.
func wanted() map[string][]string {
	all := make(map[string][]string)
	for _, f := range append(slices.Clone(faults), threats...) {
		for _, t := range f.tests {
			folder, name, _ := strings.Cut(t, " ")
			name, _, _ = strings.Cut(name, "/") // what is behind it runs with it
			if !slices.Contains(all[folder], name) {
				all[folder] = append(all[folder], name)
			}
		}
	}
	return all
}

// result is what became of a test.
type result struct {
	Action  string
	Elapsed float64
	why     string // it was skipped
}

// test runs the tests of one folder.
func test(folder string, names []string, results map[string]result) error {
	args := []string{"go", "-C", folder, "test", "-json", "-count", "1", "-timeout", "20m", "-run", "^(" + strings.Join(names, "|") + ")$", "."}
	if script := "scripts/" + strings.TrimPrefix(folder, "backend/"); strings.HasPrefix(folder, "backend/") {
		if _, err := os.Stat(script); err == nil {
			args = append([]string{script}, args...)
		}
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	read(out, folder, results)
	_ = cmd.Wait() // a test that fails is told in the page
	for _, name := range names {
		if _, ok := results[folder+" "+name]; !ok {
			return fmt.Errorf("%s has no test %s, or it did not run to its end", folder, name)
		}
	}
	return nil
}

// read takes in what go test -json says.
func read(out io.Reader, folder string, results map[string]result) {
	lines := json.NewDecoder(out)
	for {
		var line struct {
			result
			Test, Output string
		}
		if err := lines.Decode(&line); err != nil {
			return
		}
		at := folder + " " + line.Test
		r := results[at]
		if _, why, ok := strings.Cut(line.Output, "skipped: "); ok {
			r.why = strings.TrimSpace(why)
		}
		if slices.Contains([]string{"pass", "fail", "skip"}, line.Action) {
			r.Action, r.Elapsed = line.Action, line.Elapsed
		}
		results[at] = r
	}
}

// write writes the page, and returns how many tests failed.
func write(w io.Writer, results map[string]result) (failed int) {
	fmt.Fprint(w, `# What may go wrong, and what then

Each fault is brought about by tests, with real processes, sockets and engines where that is what fails, and in virtual time
where it is about time. The tables are what they said when `+"`make faults`"+` last ran; the names lead to the tests.

## Faults
`)
	failed = table(w, faults, "", results)
	fmt.Fprint(w, "\n## Threats\n\nWho trusts whom is in [security.md](security.md).\n")
	return failed + table(w, threats, "T", results)
}

func table(w io.Writer, faults []fault, letter string, results map[string]result) (failed int) {
	fmt.Fprint(w, "\n| | what goes wrong | what is promised | tests | result |\n|---|---|---|---|---|\n")
	for i, f := range faults {
		var names, said []string
		for _, t := range f.tests {
			folder, name, _ := strings.Cut(t, " ")
			names = append(names, "`"+strings.TrimPrefix(folder+" ", ". ")+name+"`")
			r := results[folder+" "+strings.ReplaceAll(name, " ", "_")]
			switch r.Action {
			case "pass":
				said = append(said, fmt.Sprintf("passed, %.1f s", r.Elapsed))
			case "skip":
				said = append(said, "skipped: "+cmp.Or(r.why, "see the test"))
			default:
				failed++
				said = append(said, "**failed**")
			}
		}
		fmt.Fprintf(w, "| %s%d | %s | %s | %s | %s |\n", letter, i+1, f.what, f.then,
			cmp.Or(strings.Join(names, "<br>"), "none yet"), strings.Join(said, "<br>"))
	}
	return failed
}

package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tree writes files with these names and contents and returns the directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// odd is a tree whose names are hard to print.
func odd() map[string]string {
	files := map[string]string{"empty": "", "sub/empty": "", "large": strings.Repeat("0123456789abcdef", 300_000)}
	for _, name := range []string{
		`back\slash`, "line\nbreak", "carriage\rreturn", " spaces  around ", "\xff\xfe no UTF-8", "-dash", "*star", "tab\t",
		"\x1b[31m", "ünïcode", `\n`, "all\\\n\r", "sub/deep/file", "sub/deep/other",
	} {
		files[name] = name
	}
	for i := range 3 * batchFiles {
		files[fmt.Sprintf("many/%d", i)] = fmt.Sprint(i)
	}
	return files
}

func TestFindsTheRegularFilesOfATree(t *testing.T) {
	// Given a tree with a link to a file, one to a directory and one to nothing,
	dir := tree(t, map[string]string{"a": "1", "b/c": "22", "b/d/e": "333"})
	for name, to := range map[string]string{"file": "a", "dir": "b", "nothing": "missing"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)

	for _, c := range []struct {
		paths string
		want  []string
	}{
		{".", []string{"./a 1", "./b/c 2", "./b/d/e 3"}},               // links that are found are passed by,
		{"file dir", []string{"file 1", "dir/c 2", "dir/d/e 3"}},       // those that are named are followed,
		{"b/ b//", []string{"b/c 2", "b/d/e 3", "b//c 2", "b//d/e 3"}}, // and what is named twice is found twice.
	} {
		var got []string
		for f := range find(t.Context(), client, strings.Fields(c.paths)) {
			if f.err != nil {
				t.Errorf("%s: %v", f.path, f.err)
			}
			got = append(got, fmt.Sprint(f.path, " ", f.size))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("find %s: %q, want %q", c.paths, got, c.want)
		}
	}
}

func TestSaysWhatCannotBeHashed(t *testing.T) {
	// Given paths that are nothing, a link to nothing, and a device,
	dir := t.TempDir()
	if err := os.Symlink("missing", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	want := []string{
		"missing: no such file or directory",
		`"": no such file or directory`,
		`"line\nbreak": no such file or directory`,
		"link: no such file or directory",
		"/dev/null: neither a regular file nor a directory",
	}
	// when they are looked for, then each problem is one line with the name in it.
	var got []string
	for f := range find(t.Context(), client, []string{"missing", "", "line\nbreak", "link", "/dev/null"}) {
		got = append(got, f.problem())
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestFindStopsWhenItIsLeft(t *testing.T) {
	dir := tree(t, map[string]string{"a/b/c": "", "a/b/d": "", "a/e": ""})
	seen := 0
	for range find(t.Context(), client, []string{dir, dir}) { // a second call of yield would panic
		seen++
		break
	}
	if seen != 1 {
		t.Errorf("seen %d files", seen)
	}
}

func TestBatchesHoldEveryFileOnce(t *testing.T) {
	// Given many small files, then large ones, then small ones, then objects, half of them of unknown size,
	var all []file
	for i := range 200 {
		f := file{path: fmt.Sprint(i), size: 100}
		if i >= 100 && i < 110 {
			f.size = batchBytes - 1
		}
		all = append(all, f)
	}
	for i := range 20 {
		all = append(all, file{path: fmt.Sprintf("s3://b/%d", i), size: int64(-i % 2)})
	}
	// when they are put into batches,
	var got []file
	for batch := range batches(slices.Values(all)) {
		var bytes int64
		for _, f := range batch {
			bytes += f.size
		}
		if len(batch) > batchFiles || len(batch) > 1 && bytes > batchBytes {
			t.Errorf("a batch of %d files, %d bytes", len(batch), bytes)
		}
		if isObject(batch[0].path) && len(batch) > 4 || batch[0].size == unknown && len(batch) > 1 {
			t.Errorf("a batch of %d objects, the first of size %d", len(batch), batch[0].size)
		}
		got = append(got, batch...)
	}
	// then none is missing, and they are in order.
	if !slices.Equal(got, all) {
		t.Errorf("got %v", got)
	}
}

func TestLinesAreThoseOfSha256sum(t *testing.T) {
	for path, want := range map[string]string{
		"plain":       "00  plain\n",
		" *spaces ":   "00   *spaces \n",
		`a\b`:         `\00  a\\b` + "\n",
		"a\nb\rc\\n":  `\00  a\nb\rc\\n` + "\n",
		"\xff\t\x1b[": "00  \xff\t\x1b[\n",
	} {
		if got := (&file{path: path, hex: "00"}).line(); got != want {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
}

// huge puts a file into a directory that nobody can read to its end.
func huge(t *testing.T, dir string) {
	t.Helper()
	path := filepath.Join(dir, "huge")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 1<<43); err != nil {
		t.Skipf("no sparse file of 8 TiB here: %v", err)
	}
}

// sums is what sha256sum would print of a tree, sorted.
func sums(dir string, files map[string]string) []string {
	var lines []string
	for name, content := range files {
		f := file{path: dir + "/" + name, hex: fmt.Sprintf("%x", sha256.Sum256([]byte(content)))}
		lines = append(lines, f.line())
	}
	slices.Sort(lines)
	return lines
}

func TestProblemOfAWrappedPathError(t *testing.T) {
	err := fmt.Errorf("on a runner: %w", &fs.PathError{Op: "open", Path: "x", Err: errors.New("denied")})
	if got, want := (&file{path: "x", err: err}).problem(), "x: denied"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

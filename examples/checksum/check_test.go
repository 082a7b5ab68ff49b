package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func TestALineIsReadAsItIsPrinted(t *testing.T) {
	sum := strings.Repeat("0f", 32)
	for name := range odd() {
		f := file{path: name, hex: sum}
		got, ok := parseLine(strings.TrimSuffix(f.line(), "\n"))
		if want := (file{path: name, want: sum}); !ok || got != want {
			t.Errorf("%q: %+v, %v", name, got, ok)
		}
	}
	for line, want := range map[string]string{
		sum + " *binary": "binary", strings.ToUpper(sum) + "  upper": "upper", `\` + sum + `  a\\nb\n`: "a\\nb\n",
		sum + "   three": " three",
		// What is no such line has no name.
		"": "", sum: "", sum + "  ": "", sum[1:] + "   short": "", "x" + sum[1:] + "  x": "", sum + "- name": "", sum + " - name": "",
		"SHA256 (name) = " + sum: "",
	} {
		if f, ok := parseLine(line); f.path != want || ok != (want != "") || ok && f.want != sum {
			t.Errorf("%q: %+v, %v", line, f, ok)
		}
	}
}

func TestAListThatCannotBeRead(t *testing.T) {
	// Given lists that are missing, no files, no lists, or break off,
	dir := tree(t, map[string]string{"empty": "", "text": "# a remark\n\nsome\ntext\n"})
	files := readLists([]string{dir + "/missing", "s3://b/list", dir + "/empty", dir + "/text"})
	line := strings.Repeat("0", 64) + "  a"
	files = append(files, readList("broken", iotest.ErrReader(errors.New("no more")))...)
	files = append(files, readList("without an end", strings.NewReader(line))...)
	// when they are read, then each problem is named, and nothing is compared.
	var got []string
	for f := range listed(files) {
		got = append(got, strings.TrimPrefix(f.problem(), dir+"/"))
		if f.path != "a" && (f.want != "" || f.line() != "" || !f.failed()) {
			t.Errorf("%+v", f)
		}
	}
	const no = ": no line in it is one of sha256sum, which has 64 hexadecimal digits, two spaces and a name"
	if want := []string{
		"missing: no such file or directory", "s3://b/list: a list must be a file", "empty" + no, "text" + no, "broken: no more", "a: no such file or directory",
	}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestTheSizeOfAListedObjectIsUnknown(t *testing.T) {
	for f := range listed([]file{{path: "s3://b/k", want: "00"}}) {
		if f.size != unknown || f.want != "00" {
			t.Errorf("%+v", f)
		}
	}
}

func TestAListFromStdin(t *testing.T) {
	program, dir := build(t), tree(t, map[string]string{"a": "a", "b": "b"})
	list, _, _ := start(t, program, dir, "a", "b")
	if err := os.WriteFile(filepath.Join(dir, "b"), []byte("changed"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"-c"}, {"-c", "-"}} {
		stdout, stderr, code := startOn(t, list, program, dir, args...)
		if stdout != "a: OK\nb: FAILED\n" || stderr != "checksum: of what the lists say, 1 could not be confirmed\n" || code != 1 {
			t.Errorf("%q: exit code %d, stdout %q, stderr %q", args, code, stdout, stderr)
		}
	}
}

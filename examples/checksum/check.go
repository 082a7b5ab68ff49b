package main

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
)

// readLists returns the files that lists of checksums name, each with what its checksum shall be. A list is what
// sha256sum or this program prints; "-", or no list at all, is stdin. What cannot be read, of a list or as a line of
// it, is among the files as one with an error.
func readLists(paths []string) []file {
	if len(paths) == 0 {
		paths = []string{"-"}
	}
	var all []file
	for _, path := range paths {
		if path == "-" {
			all = append(all, readList("stdin", os.Stdin)...)
			continue
		}
		r, err := os.Open(path)
		if isObject(path) {
			err = errors.New("a list must be a file")
		}
		if err != nil {
			all = append(all, file{path: path, err: err})
			continue
		}
		all = append(all, readList(path, r)...)
		r.Close()
	}
	return all
}

const lineForm = "64 hexadecimal digits, two spaces and a name"

// readList returns what one list names.
func readList(name string, r io.Reader) (files []file) {
	lines, good := bufio.NewReader(r), false
	for n := 1; ; n++ {
		line, err := lines.ReadString('\n')
		if line = strings.TrimSuffix(line, "\n"); line != "" && line[0] != '#' {
			f, ok := parseLine(line)
			if good = good || ok; !ok {
				f = file{path: fmt.Sprintf("%s:%d", name, n), err: errors.New("this is no line of sha256sum, which has " + lineForm)}
			}
			files = append(files, f)
		}
		switch {
		case err == nil:
		case err != io.EOF:
			return append(files, file{path: name, err: err})
		case !good:
			return []file{{path: name, err: errors.New("no line in it is one of sha256sum, which has " + lineForm)}}
		default:
			return files
		}
	}
}

// parseLine is the reverse of file.line.
func parseLine(line string) (f file, ok bool) {
	line, escaped := strings.CutPrefix(line, `\`)
	if len(line) < 67 || line[64] != ' ' || line[65] != ' ' && line[65] != '*' {
		return file{}, false
	}
	if _, err := hex.DecodeString(line[:64]); err != nil {
		return file{}, false
	}
	f.want, f.path = strings.ToLower(line[:64]), line[66:]
	if escaped {
		f.path = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r").Replace(f.path)
	}
	return f, true
}

// listed yields the files that a list names, as find does. Objects are as large as they turn out to be.
func listed(files []file) iter.Seq[file] {
	return func(yield func(file) bool) {
		for _, f := range files {
			switch {
			case f.err != nil:
			case isObject(f.path):
				f.size = unknown
			default:
				want, isDir := f.want, false
				if f, isDir = look(f.path); isDir {
					f.err = errors.New("it is a directory")
				}
				f.want = want
			}
			if !yield(f) {
				return
			}
		}
	}
}

// verdict is what sha256sum -c prints of a file.
func (f *file) verdict() string {
	name, mark := f.path, ""
	if strings.ContainsAny(name, "\n\r") { // otherwise sha256sum leaves backslashes alone here
		name, mark = escape(name)
	}
	switch {
	case f.err != nil:
		return mark + name + ": FAILED open or read\n"
	case f.failed():
		return mark + name + ": FAILED\n"
	}
	return mark + name + ": OK\n"
}

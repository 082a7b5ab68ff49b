package main

import (
	"os"
	"strings"
	"testing"
)

func TestThePageShowsThisBackend(t *testing.T) {
	code, err := os.ReadFile("backend.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/backends.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "```go\n"+strings.TrimSpace(string(code))+"\n```") {
		t.Error("docs/backends.md shows another backend than backend.go: put that in between its ```go and ```")
	}
}

func TestTheBackendIsLessThanAHundredLines(t *testing.T) {
	code, err := os.ReadFile("backend.go")
	if n := strings.Count(string(code), "\n"); err != nil || n >= 100 {
		t.Errorf("%d lines, %v", n, err)
	}
}

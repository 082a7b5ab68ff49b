package codec

import (
	"errors"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	corpus "github.com/fleetinglambda/flame/testdata/cross"
)

// TestCorpus holds the codec to what the comments of testdata/cross say.
func TestCorpus(t *testing.T) {
	rows, refused := corpus.Rows(), 0
	for _, r := range rows {
		want := comments(t, r.File)[r.Line-1]
		got := "crosses"
		checked := Check(&r.Func)
		_, err := Encode(&r.Func, Options{Lender: new(shelf)})
		if err != nil {
			refused++
			got = "refused: " + said(t, err)
		}
		if got != want {
			t.Errorf("%s:%d:\n got // %s\nwant // %s", filepath.Base(r.File), r.Line, got, want)
		}
		if err != nil && checked != nil && said(t, checked) != said(t, err) {
			t.Errorf("%s:%d: Check says %v", filepath.Base(r.File), r.Line, checked)
		}
		if err == nil && checked != nil {
			t.Errorf("%s:%d: Check refuses it: %v", filepath.Base(r.File), r.Line, checked)
		}
	}
	if len(rows) < 80 || refused < 45 {
		t.Errorf("%d rows, %d refused", len(rows), refused)
	}
}

// nameOf finds the names of functions, which depend on what the compiler inlines.
var nameOf = regexp.MustCompile(`func \S+ \(`)

// said is what a refusal says after the name of the function.
func said(t *testing.T, err error) string {
	t.Helper()
	var refused *SendError
	if !errors.As(err, &refused) {
		t.Fatalf("%v is no *SendError", err)
	}
	_, captured, _ := strings.Cut(refused.Path, ": ")
	return nameOf.ReplaceAllString(captured, "func (") + ": " + refused.Reason
}

// comments returns the comments of a file by their last lines.
func comments(t *testing.T, file string) map[int]string {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, file, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[int]string)
	for _, c := range f.Comments {
		all[fset.Position(c.End()).Line] = strings.Join(strings.Fields(c.Text()), " ")
	}
	return all
}

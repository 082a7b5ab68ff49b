// Package page puts what a test has measured into a page of documentation.
package page

import (
	"fmt"
	"os"
	"strings"
)

// Fill replaces what stands between the markers of a section in a file: <!-- begin: section --> and <!-- end: section -->.
func Fill(file, section, text string) error {
	begin, end := "<!-- begin: "+section+" -->\n", "<!-- end: "+section+" -->"
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(old), begin)
	_, after, ended := strings.Cut(rest, end)
	if !ok || !ended {
		return fmt.Errorf("%s has no markers for %s", file, section)
	}
	return os.WriteFile(file, []byte(before+begin+"\n"+strings.TrimSpace(text)+"\n\n"+end+after), 0o644)
}

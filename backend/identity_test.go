//go:build linux

package backend_test

import (
	"strings"
	"testing"

	"github.com/fleetinglambda/flame/backend"
)

func TestB11_OnlyAProcessThatCanBeSeenIsJudged(t *testing.T) {
	self, err := backend.ThisProcess()
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(self, "/")
	as := func(part int, text string) string {
		changed := append([]string(nil), parts...)
		changed[part] = text
		return strings.Join(changed, "/")
	}
	for _, c := range []struct {
		what, process string
		here, ended   bool
	}{
		{"this one", self, true, false},
		{"an earlier one with its pid", as(3, "1"), true, true},
		{"one whose pid nobody has", as(2, "99999999"), true, true},
		{"one of another pid namespace", as(1, "1"), false, false},
		{"one of another host, or of this before it was restarted", as(0, "a"), false, false},
		{"no process", "", false, false},
		{"no pid", as(2, "x"), true, false},
	} {
		if here, ended, err := backend.Judge(c.process); here != c.here || ended != c.ended || err != nil {
			t.Errorf("%s: here %v, ended %v, %v", c.what, here, ended, err)
		}
	}
}

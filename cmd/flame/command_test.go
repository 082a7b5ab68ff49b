package main

import (
	"bytes"
	"context"
	"flag"
	"io"
	"strings"
	"testing"
)

// ask runs the program and returns what it says.
func ask(t *testing.T, args ...string) (out, notes string, code int) {
	t.Helper()
	var o, n bytes.Buffer
	code = flame().main(t.Context(), args, &o, &n)
	return o.String(), n.String(), code
}

func TestWhatIsNotUnderstoodIsToldWithAWayOut(t *testing.T) {
	for args, want := range map[string]string{
		"":                     "usage: flame COMMAND",
		"collect":              `flame: there is no "collect": there is gc; flame help tells more`,
		"gc":                   "usage: flame gc COMMAND",
		"gc podman":            `flame gc: there is no "podman": there is docker, fly`,
		"gc docker -force":     "flag provided but not defined: -force; flame gc docker -h tells what there is",
		"gc docker everything": `"everything" is one argument too many`,
		"help gc podman":       `flame gc: there is no "podman"`,
	} {
		out, notes, code := ask(t, strings.Fields(args)...)
		if code != misunderstood || out != "" || !strings.Contains(notes, want) {
			t.Errorf("flame %s: %d, %q and %q", args, code, out, notes)
		}
	}
}

func TestHelpIsWhereItIsLookedFor(t *testing.T) {
	for _, args := range []string{"gc docker -h", "gc docker --help", "gc docker help", "gc help docker", "help gc docker"} {
		out, notes, code := ask(t, strings.Fields(args)...)
		if code != done || notes != "" || !strings.Contains(out, "usage: flame gc docker [FLAGS]") || !strings.Contains(out, "-yes") {
			t.Errorf("flame %s: %d, %q and %q", args, code, out, notes)
		}
	}
	if out, _, code := ask(t, "help"); code != done || !strings.Contains(out, "  gc   lists runners") {
		t.Errorf("%d, %q", code, out)
	}
}

func TestEveryCommandIsDocumented(t *testing.T) {
	var look func(path string, c *command)
	look = func(path string, c *command) {
		if c.short == "" || strings.HasSuffix(c.short, ".") || (c.flags == nil) == (len(c.commands) == 0) {
			t.Errorf("%s: %+v", path, c)
		}
		if c.flags != nil {
			set, _ := c.parse(path)
			set.VisitAll(func(f *flag.Flag) {
				if f.Usage == "" {
					t.Errorf("%s -%s has no words", path, f.Name)
				}
			})
		}
		for _, sub := range c.commands {
			look(path+" "+sub.name, sub)
		}
	}
	look("flame", flame())
}

func TestWhatFailsExitsWithOne(t *testing.T) {
	c := &command{name: "fail", flags: func(*flag.FlagSet) action {
		return func(context.Context, io.Writer, io.Writer) error { return io.ErrUnexpectedEOF }
	}}
	var out, notes bytes.Buffer
	if code := c.main(t.Context(), nil, &out, &notes); code != failed || notes.String() != "fail: unexpected EOF\n" || out.Len() > 0 {
		t.Errorf("%d, %q, %q", code, out.String(), notes.String())
	}
}

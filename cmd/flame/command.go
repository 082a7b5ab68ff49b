package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// command is something that can be asked for by its name: a group of others, or something to do.
type command struct {
	name  string
	short string // what it does, in less than a line: "removes …"
	long  string // what else there is to know; may be empty

	commands []*command // of a group
	// flags, if not nil, declares the flags and returns what is done with them. It is nil in a group.
	flags func(*flag.FlagSet) action
}

// action does what is asked for. What others may want to use it writes to out; what it has to say besides, to notes.
type action func(ctx context.Context, out, notes io.Writer) error

// The exit codes.
const (
	done = iota
	failed
	misunderstood
)

// main does what the arguments ask for and returns the exit code.
func (c *command) main(ctx context.Context, args []string, out, notes io.Writer) int {
	path := c.name
	for len(c.commands) > 0 {
		if len(args) == 0 {
			c.help(path, notes)
			return misunderstood
		}
		if isHelp(args[0]) {
			return c.helpOn(path, args[1:], out, notes)
		}
		next := c.find(args[0])
		if next == nil {
			fmt.Fprintf(notes, "%s: there is no %q: there is %s; %s help tells more\n", path, args[0], c.names(), path)
			return misunderstood
		}
		c, path, args = next, path+" "+next.name, args[1:]
	}
	return c.do(ctx, path, args, out, notes)
}

// do parses the flags and does it.
func (c *command) do(ctx context.Context, path string, args []string, out, notes io.Writer) int {
	set, act := c.parse(path)
	err := set.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp), err == nil && set.NArg() == 1 && isHelp(set.Arg(0)):
		c.help(path, out)
		return done
	case err == nil && set.NArg() > 0:
		err = fmt.Errorf("%q is one argument too many", set.Arg(0))
	}
	if err != nil {
		fmt.Fprintf(notes, "%s: %v; %s -h tells what there is\n", path, err, path)
		return misunderstood
	}
	if err := act(ctx, out, notes); err != nil {
		fmt.Fprintf(notes, "%s: %v\n", path, err)
		return failed
	}
	return done
}

// parse returns the flags, which print nothing by themselves.
func (c *command) parse(path string) (*flag.FlagSet, action) {
	set := flag.NewFlagSet(path, flag.ContinueOnError)
	set.SetOutput(io.Discard)
	return set, c.flags(set)
}

func isHelp(arg string) bool {
	switch strings.TrimLeft(arg, "-") {
	case "h", "help":
		return true
	}
	return false
}

// helpOn helps with the command that is named below this one.
func (c *command) helpOn(path string, names []string, out, notes io.Writer) int {
	for _, name := range names {
		next := c.find(name)
		if next == nil {
			fmt.Fprintf(notes, "%s: there is no %q: there is %s\n", path, name, c.names())
			return misunderstood
		}
		c, path = next, path+" "+next.name
	}
	c.help(path, out)
	return done
}

// help writes what there is to know.
func (c *command) help(path string, w io.Writer) {
	fmt.Fprintf(w, "%s %s.\n", path, c.short)
	if c.long != "" {
		fmt.Fprintf(w, "\n%s\n", strings.TrimSpace(c.long))
	}
	if len(c.commands) > 0 {
		fmt.Fprintf(w, "\nusage: %s COMMAND\n\n", path)
		table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
		for _, sub := range c.commands {
			fmt.Fprintf(table, "  %s\t%s\n", sub.name, sub.short)
		}
		_ = table.Flush() // to a terminal that may have gone
		fmt.Fprintf(w, "\n%s help COMMAND tells more.\n", path)
		return
	}
	fmt.Fprintf(w, "\nusage: %s [FLAGS]\n\n", path)
	set, _ := c.parse(path)
	set.SetOutput(w)
	set.PrintDefaults()
}

func (c *command) find(name string) *command {
	for _, sub := range c.commands {
		if sub.name == name {
			return sub
		}
	}
	return nil
}

// names lists the commands of a group.
func (c *command) names() string {
	var all []string
	for _, sub := range c.commands {
		all = append(all, sub.name)
	}
	return strings.Join(all, ", ")
}

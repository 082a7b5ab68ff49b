// Command plugged is a plugin with a function that makes a closure.
package main

import (
	"context"
	"strings"
)

// Shout returns a closure whose code lies in the plugin.
func Shout(s string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return strings.ToUpper(s), nil }
}

func main() {}

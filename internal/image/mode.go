package image

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// Ways to link a program that put its functions and types in more than one file, or make another program of it than the
// one in [Path].
const (
	wayOutMode = "build an ordinary executable (-buildmode=exe or pie, without -linkshared)"
	wayOutSan  = "build without it; -race works"
)

// errNotThisFile is the error where the file of this process has no table of Go's functions.
var errNotThisFile = errors.New("this process's executable is not the Go program (a c-shared library in another program's process?), " +
	"so it cannot be started again as a runner: " + wayOutMode)

var errPacked = errors.New("this executable has lost its section headers (a packer such as upx?): " +
	"ship it unpacked; -ldflags=-s -w is fine")

// errShared is the error where the Go runtime lies in another file. The build settings do not tell.
var errShared = errors.New("closures of a program that was linked with shared libraries of Go (-linkshared) cannot cross, " +
	"as it is not one executable: " + wayOutMode)

// buildMode refuses by name what this executable must not have been built with.
func buildMode() error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil // the self-test tells
	}
	return refusedMode(info.Settings)
}

func refusedMode(settings []debug.BuildSetting) error {
	for _, s := range settings {
		switch s.Key + "=" + s.Value {
		case "-buildmode=plugin", "-buildmode=shared", "-buildmode=c-shared", "-buildmode=c-archive":
			return fmt.Errorf("closures of a program built with %s=%s cannot cross, as it is not one executable: "+wayOutMode, s.Key, s.Value)
		case "-asan=true", "-msan=true":
			return fmt.Errorf("closures of a program built with %s cannot cross, as it marks memory that others may not read: "+wayOutSan, s.Key)
		}
	}
	return nil
}

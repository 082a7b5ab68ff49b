//go:build !linux

package runner

import (
	"errors"
	"io"
	"runtime"
)

func inherited() (io.ReadWriteCloser, error) {
	return nil, errors.New("runners are processes only on linux so far, this is " + runtime.GOOS)
}

// TrustEnvironment has nothing to say on this platform.
func TrustEnvironment() error { return nil }

const (
	runnerScore = 0
	ownScore    = 0
)

func offer(string, int) {}

func endGroup(int) {}

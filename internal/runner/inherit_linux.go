package runner

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/fleetinglambda/flame/internal/session"
)

// inheritedFD is the descriptor at which a process backend leaves the runner's end of the connection.
const inheritedFD = 3

// inherited returns the connection that this process was born with, if its other end is held by our own
// parent process under our own user.
func inherited() (io.ReadWriteCloser, error) {
	peer, err := syscall.GetsockoptUcred(inheritedFD, syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	if err != nil {
		return nil, fmt.Errorf("descriptor %d is not a connection to a parent: %w", inheritedFD, err)
	}
	if int(peer.Pid) != os.Getppid() || int(peer.Uid) != os.Getuid() {
		return nil, fmt.Errorf("the parent is gone, or the connection at descriptor %d is not from it", inheritedFD)
	}
	syscall.CloseOnExec(inheritedFD)
	if err := syscall.SetNonblock(inheritedFD, false); err != nil {
		return nil, fmt.Errorf("descriptor %d: %w", inheritedFD, err)
	}
	return session.Socket(os.NewFile(inheritedFD, "parent"))
}

// TrustEnvironment refuses an environment that may come from somebody with fewer rights than this process.
func TrustEnvironment() error {
	const atSecure = 23
	aux, err := os.ReadFile("/proc/self/auxv")
	if err != nil {
		return fmt.Errorf("cannot tell whether this program runs with raised rights: %w", err)
	}
	for ; len(aux) >= 16; aux = aux[16:] {
		if binary.NativeEndian.Uint64(aux) == atSecure && binary.NativeEndian.Uint64(aux[8:]) != 0 {
			return errors.New("this program runs with raised rights (setuid, setgid or file capabilities)")
		}
	}
	return nil
}

// How readily processes are killed when memory runs out, as /proc/PID/oom_score_adj has it: a runner before its
// parent, and a process that runs one call before its runner.
const (
	runnerScore = 500
	ownScore    = 1000
)

// offer raises how readily a process is killed when memory runs out. Where that cannot be said it stays as it is.
func offer(pid string, score int) {
	name := "/proc/" + pid + "/oom_score_adj"
	text, err := os.ReadFile(name)
	if err != nil {
		return
	}
	if now, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && now < score {
		_ = os.WriteFile(name, strconv.AppendInt(nil, int64(score), 10), 0)
	}
}

// burial is how long a parent whose connection has ended may take to be gone: the system closes its files first.
const burial = 10 * time.Millisecond

// endGroup ends this process and all it has started, if it leads its process group and the parent is gone, who would
// have done it.
func endGroup(parent int) {
	for start := time.Now(); os.Getppid() == parent; time.Sleep(time.Millisecond) {
		if time.Since(start) > burial {
			return
		}
	}
	if self := os.Getpid(); self == syscall.Getpgrp() && self != 1 {
		_ = syscall.Kill(-self, syscall.SIGKILL) // without it, they stay
	}
}

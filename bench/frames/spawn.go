package frames

import (
	"errors"
	"os"
	"os/exec"
	"time"
)

// Spawn starts this executable with env added to its environment, sends it one frame, and returns how
// long it took until the answer was there. The child inherits the connection as its first extra file and is
// to call [Echo] on Blocking(3). When Spawn returns the child has ended.
func Spawn(env string) (time.Duration, error) {
	begun := time.Now()
	here, there, err := BlockingPair()
	if err != nil {
		return 0, os.NewSyscallError("socketpair", err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), env)
	cmd.Stderr = os.Stderr
	end := os.NewFile(uintptr(there), "child")
	cmd.ExtraFiles = []*os.File{end}
	err = cmd.Start()
	end.Close()
	if err != nil {
		here.Close()
		return 0, err
	}
	called := NewLockstep(here).Call()
	took := time.Since(begun)
	here.Close()
	return took, errors.Join(called, cmd.Wait())
}

package process

import (
	"os"
	"syscall"
)

// socketpair returns two connected sockets that no other process inherits by accident.
func socketpair() (ours, theirs *os.File, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "runner"), os.NewFile(uintptr(fds[1]), "parent"), nil
}

// readNow reads what is there. again says that nothing is yet; without it, n is 0 at the end.
func readNow(fd uintptr, b []byte) (n int, again bool) {
	for {
		n, err := syscall.Read(int(fd), b)
		if err != syscall.EINTR {
			return max(0, n), err == syscall.EAGAIN
		}
	}
}

// ownGroup keeps an interrupt at the terminal from the process and lets it be ended with its children.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// killGroup ends what is left of the group of a process that is gone.
func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }

func terminate(p *os.Process) error { return p.Signal(syscall.SIGTERM) }

func signalOf(s *os.ProcessState) os.Signal {
	if status, ok := s.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return status.Signal()
	}
	return nil
}

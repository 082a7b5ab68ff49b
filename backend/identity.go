package backend

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// ThisProcess names this process, for the Reap of a later one: it is told from all others by the host that it is on, since that was
// started, by its pid namespace, by its pid there, and by when it began.
func ThisProcess() (string, error) {
	place, err := placeOf()
	if err != nil {
		return "", err
	}
	began, err := beginOf(os.Getpid())
	if err != nil {
		return "", fmt.Errorf("say which process this is: %w", err)
	}
	return fmt.Sprintf("%s/%d/%s", place, os.Getpid(), began), nil // boot/namespace/pid/began
}

// placeOf names this host, since it was started, and the pid namespace of this process.
func placeOf() (string, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("say which host this is: %w", err)
	}
	space, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return "", fmt.Errorf("say which process this is: %w", err)
	}
	return strings.TrimSpace(string(boot)) + "/" + strings.Trim(space, "pid:[]"), nil
}

// beginOf returns when a process of this namespace began, in ticks since the host was started.
func beginOf(pid int) (string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // what is before it may be anything
	if len(fields) < 20 {
		return "", errors.New("its stat is cut off")
	}
	return string(fields[19]), nil
}

// Judge says of a process that [ThisProcess] has named whether it is, or was, in the pid namespace of this one, and if so
// whether it has ended. Of others it says nothing.
func Judge(process string) (here, ended bool, err error) {
	place, err := placeOf()
	rest, here := strings.CutPrefix(process, place+"/")
	if err != nil || !here {
		return false, false, nil
	}
	number, began, _ := strings.Cut(rest, "/")
	pid, err := strconv.Atoi(number)
	if err != nil {
		return true, false, nil
	}
	now, err := beginOf(pid)
	if errors.Is(err, os.ErrNotExist) {
		return true, true, nil
	}
	return true, err == nil && now != began, err
}

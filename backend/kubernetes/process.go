package kubernetes

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
)

// A process is told from all others by the host that it is on, since that was started, by its pid namespace, by its pid there, and by
// when it began: "boot/namespace/pid/began".

// thisProcess names this process.
func thisProcess() (string, error) {
	place, err := placeOf()
	if err != nil {
		return "", err
	}
	began, err := beginOf(os.Getpid())
	if err != nil {
		return "", fmt.Errorf("say which process this is: %w", err)
	}
	return fmt.Sprintf("%s/%d/%s", place, os.Getpid(), began), nil
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

// isHere says whether a process is, or was, in this process's pid namespace.
func isHere(process string) bool {
	place, err := placeOf()
	return err == nil && strings.HasPrefix(process, place+"/")
}

// hasEnded says whether a process that is, or was, here has ended.
func hasEnded(process string) (bool, error) {
	parts := strings.Split(process, "/")
	var pid int
	if n, err := fmt.Sscan(parts[len(parts)-2], &pid); n != 1 || err != nil {
		return false, nil
	}
	now, err := beginOf(pid)
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	return err == nil && now != parts[len(parts)-1], err
}

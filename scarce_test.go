//go:build linux

package flame_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
)

func TestN03_ADiskThatIsFullIsTheFunctionsErrorAndNoMore(t *testing.T) {
	p, r := open(t, flame.Config{Max: 1})
	_, err := flame.Call(t.Context(), p, func(context.Context) (int, error) {
		return 0, os.WriteFile("/dev/full", []byte("a checksum"), 0)
	})
	remote := new(flame.RemoteError)
	if !errors.As(err, &remote) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("on the runner: %v", err)
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	out := io.Writer(full)
	_, err = flame.Call(t.Context(), p, func(context.Context) (bool, error) {
		_, err := io.Copy(out, io.LimitReader(zeros{}, 1<<20))
		return errors.Is(err, syscall.ENOSPC), err
	})
	if !errors.As(err, &remote) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("on the parent: %v", err)
	}
	if pid(t, p); len(r.booted()) != 1 {
		t.Errorf("%d runners were booted", len(r.booted()))
	}
}

// needyProgram takes all descriptors that it may have, and gives them back.
func needyProgram() {
	flame.ServeIfRunner()
	p, err := flame.Open(context.Background(), flame.Config{Max: 2, MaxConcurrency: 1})
	if err != nil {
		panic(err)
	}
	call := func(n int) (errs []error) {
		var wg sync.WaitGroup
		all := make([]error, n)
		for i := range n {
			wg.Go(func() {
				_, all[i] = flame.Call(context.Background(), p, func(context.Context) (bool, error) {
					<-time.After(100 * time.Millisecond) // so that both runners are needed
					return true, nil
				}, flame.Timeout(10*time.Second))
			})
		}
		wg.Wait()
		return all
	}
	fmt.Println("first:", call(1))
	limit := syscall.Rlimit{Cur: 64, Max: 64}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		panic(err)
	}
	var taken []*os.File
	for {
		file, err := os.Open("/dev/null")
		if err != nil {
			break
		}
		taken = append(taken, file)
	}
	fmt.Println("without descriptors:", call(1)) // the runner that is there needs none
	small, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	_, err = flame.Open(small, flame.Config{Min: 1})
	fmt.Println("open:", err)
	for _, file := range taken {
		file.Close()
	}
	fmt.Println("with descriptors:", call(2))
	p.Close()
}

func TestB03_WithoutDescriptorsRunnersServeAndBootsSayWhy(t *testing.T) {
	said := program(t, "needy")
	for _, want := range []string{"first: [<nil>]", "without descriptors: [<nil>]", "too many open files", "with descriptors: [<nil> <nil>]"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is missing in:\n%s", want, said)
		}
	}
}

// loneProgram may start no more processes from some time on.
func loneProgram() {
	flame.ServeIfRunner()
	p, err := flame.Open(context.Background(), flame.Config{Max: 1})
	if err != nil {
		panic(err)
	}
	call := func() error {
		return flame.Run(context.Background(), p, func(context.Context) error { return nil }, flame.Timeout(10*time.Second))
	}
	fmt.Println("first:", call())
	var threads sync.WaitGroup // the limit counts threads too, and the runtime dies if it gets none
	for range 20 {
		threads.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			_ = syscall.Nanosleep(&syscall.Timespec{Nsec: 50_000_000}, nil)
		})
	}
	threads.Wait()
	var before syscall.Rlimit
	const nproc = 6 // RLIMIT_NPROC, which package syscall does not name
	if err := syscall.Getrlimit(nproc, &before); err != nil {
		panic(err)
	}
	if err := syscall.Setrlimit(nproc, &syscall.Rlimit{Cur: 1, Max: before.Max}); err != nil {
		panic(err)
	}
	fmt.Println("without processes:", call())
	_, err = flame.Open(context.Background(), flame.Config{Min: 1})
	fmt.Println("open:", err)
	if err := syscall.Setrlimit(nproc, &before); err != nil {
		panic(err)
	}
	other, err := flame.Open(context.Background(), flame.Config{Min: 1})
	fmt.Println("with processes:", err)
	if err == nil {
		other.Close()
	}
	p.Close()
}

func TestB03_WithoutProcessesRunnersServeAndBootsSayWhy(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("skipped: a user of its own, for whom processes can be counted, needs root")
	}
	// The user runs a copy of this program, where it can be read.
	dir := t.TempDir()
	for at := dir; at != "/" && at != os.TempDir(); at = filepath.Dir(at) {
		if err := os.Chmod(at, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "program")
	if err := os.WriteFile(name, program, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), name)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), programVariable+"=lone")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 54321, Gid: 54321}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"first: <nil>", "without processes: <nil>", "resource temporarily unavailable", "with processes: <nil>"} {
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("%q is missing in:\n%s", want, out)
		}
	}
}

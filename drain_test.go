//go:build linux

package flame_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend"
)

// tell a runner to leave, as whoever runs machines does.
func terminate(t *testing.T, i backend.Instance) {
	t.Helper()
	pid, err := strconv.Atoi(i.ID())
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGTERM)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestF10_ATerminatedRunnerFinishesWhatItHasAndGetsNothingNew(t *testing.T) {
	for name, isolation := range map[string]flame.Isolation{"shared": flame.Shared, "per call": flame.PerCall} {
		t.Run(name, func(t *testing.T) {
			p, r := open(t, flame.Config{Min: 1, Max: 2, MaxConcurrency: 4, Isolation: isolation})
			n := listen(t)
			addr := n.addr
			first := flame.Start(t.Context(), p, func(context.Context) (string, error) { return "finished", hold(addr) })
			n.next(t)
			terminate(t, r.booted()[0])
			settle(t, func() bool { return len(r.booted()) == 2 }, func() string { return "the runner that leaves is not replaced" })
			for range 10 {
				if !elsewhere(t, p, r) {
					t.Error("the runner that leaves got a call again")
				}
			}
			n.release()
			if got, err := first.Wait(t.Context()); got != "finished" || err != nil {
				t.Errorf("the call that was running: %q, %v", got, err)
			}
			<-r.booted()[0].Done()
			if err := r.booted()[0].Err(); err != nil {
				t.Errorf("it ended with %v", err)
			}
		})
	}
}

func TestF10_AnIdleRunnerThatIsTerminatedLeavesAtOnce(t *testing.T) {
	p, r := open(t, flame.Config{})
	pid(t, p)
	terminate(t, r.booted()[0])
	select {
	case <-r.booted()[0].Done():
	case <-time.After(patience):
		t.Fatal("it stays")
	}
	if err := r.booted()[0].Err(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	pid(t, p)
}

// elsewhere says whether a call runs on another runner than the first.
func elsewhere(t *testing.T, p *flame.Pool, r *recorder) bool {
	t.Helper()
	who, err := flame.Call(t.Context(), p, func(context.Context) ([2]int, error) { return [2]int{os.Getpid(), os.Getppid()}, nil })
	if err != nil {
		t.Fatal(err)
	}
	first, _ := strconv.Atoi(r.booted()[0].ID())
	return who[0] != first && who[1] != first
}

func TestF10_ASecondTerminationIsImmediate(t *testing.T) {
	p, r := open(t, flame.Config{Max: 2})
	n := listen(t)
	addr := n.addr
	task := flame.Start(t.Context(), p, func(context.Context) (string, error) { return "finished", hold(addr) })
	n.next(t)
	terminate(t, r.booted()[0])
	settle(t, func() bool { return elsewhere(t, p, r) }, func() string { return "the first signal was not heeded" })
	terminate(t, r.booted()[0])
	_, err := task.Wait(t.Context())
	var lost *flame.RunnerLostError
	if !errors.As(err, &lost) || !lost.Started {
		t.Errorf("%v", err)
	}
	<-r.booted()[0].Done()
	var exit *backend.ExitError
	if err := r.booted()[0].Err(); !errors.As(err, &exit) || exit.Signal != syscall.SIGTERM {
		t.Errorf("the runner ended with %v", err)
	}
}

func TestF10_NoCallIsLostWhileRunnersAreTerminated(t *testing.T) {
	for name, isolation := range map[string]flame.Isolation{"shared": flame.Shared, "per call": flame.PerCall} {
		t.Run(name, func(t *testing.T) {
			p, r := open(t, flame.Config{Min: 2, Max: 4, MaxConcurrency: 4, Isolation: isolation})
			var calls sync.WaitGroup
			var served sync.Map // by process
			var failed atomic.Int32
			over := make(chan struct{})
			for range 12 {
				calls.Go(func() {
					for {
						select {
						case <-over:
							return
						default:
						}
						who, err := flame.Call(t.Context(), p, func(context.Context) ([2]int, error) { return [2]int{os.Getpid(), os.Getppid()}, nil })
						if err != nil {
							failed.Add(1)
							t.Error(err)
							return
						}
						served.Store(strconv.Itoa(who[0]), true)
						served.Store(strconv.Itoa(who[1]), true)
					}
				})
			}
			for i := range 10 {
				settle(t, func() bool {
					if len(r.booted()) <= i {
						return false
					}
					_, serves := served.Load(r.booted()[i].ID())
					return serves || failed.Load() > 0
				}, func() string { return "no runner comes up any more" })
				terminate(t, r.booted()[i])
			}
			close(over)
			calls.Wait()
			for _, i := range r.booted()[:10] {
				<-i.Done()
				if err := i.Err(); err != nil {
					t.Errorf("runner %s ended with %v", i.ID(), err)
				}
			}
		})
	}
}

func TestCtrlCReachesOnlyTheParent(t *testing.T) {
	for name, program := range map[string]string{"shared": "terminal", "per call": "terminal PerCall"} {
		t.Run(name, func(t *testing.T) {
			terminal, user := openTerminal(t)
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), programVariable+"="+program)
			cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			terminal.Close()
			said := bufio.NewScanner(user)
			for _, want := range []string{"running", "interrupted", "the function finished"} {
				for said.Scan() && !strings.HasSuffix(said.Text(), want) { // behind the echo of what was typed
					t.Logf("it says %q", said.Text())
				}
				if said.Err() != nil || !strings.HasSuffix(said.Text(), want) {
					t.Fatalf("it never says %q: %v", want, said.Err())
				}
				if want == "running" {
					user.WriteString("\x03")
				}
			}
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestB11_WhatFunctionsHaveStartedGoesWithThem(t *testing.T) {
	for name, program := range map[string]string{"shared": "children", "per call": "children PerCall"} {
		t.Run(name, func(t *testing.T) {
			// Given a function that has started a program, in a process whose parent cannot end it any more.
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), programVariable+"="+program)
			out, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			var parent, child int
			if _, err := fmt.Fscanln(out, &parent, &child); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { syscall.Kill(child, syscall.SIGKILL) })
			// When that is killed, then the program goes, too.
			syscall.Kill(parent, syscall.SIGKILL)
			gone(t, child)
			cmd.Process.Kill()
			cmd.Wait()
		})
	}
}

// childrenProgram has a function start a program and prints the parent of its process, and the program.
func childrenProgram(c flame.Config) {
	p, l := beginProgram(c)
	addr := l.Addr().String()
	task := flame.Start(context.Background(), p, func(context.Context) (int, error) {
		child := exec.Command("sleep", "1000")
		if err := child.Start(); err != nil {
			return 0, err
		}
		tell(addr, fmt.Sprint(os.Getppid(), child.Process.Pid))
		return 0, child.Wait()
	})
	conn, err := l.Accept()
	if err != nil {
		panic(err)
	}
	io.Copy(os.Stdout, conn)
	task.Wait(context.Background())
	select {}
}

// openTerminal returns a terminal and the end at which its user sits.
func openTerminal(t *testing.T) (terminal, user *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("needs /dev/ptmx and /dev/pts, to make a terminal: ", err)
	}
	t.Cleanup(func() { user.Close() })
	number, err := unix.IoctlGetInt(int(user.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(user.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		terminal, err = os.OpenFile(fmt.Sprint("/dev/pts/", number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Skip("needs /dev/ptmx and /dev/pts, to make a terminal: ", err)
	}
	modes, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	modes.Lflag |= unix.NOFLSH // an interrupt does not throw away what is being printed
	if err := unix.IoctlSetTermios(int(terminal.Fd()), unix.TCSETS, modes); err != nil {
		t.Fatal(err)
	}
	return terminal, user
}

// terminalProgram finishes a call when it is interrupted.
func terminalProgram(c flame.Config) {
	flame.ServeIfRunner()
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	p, err := flame.Open(context.Background(), c)
	if err != nil {
		panic(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	addr := l.Addr().String()
	task := flame.Start(context.Background(), p, func(context.Context) (string, error) { return "the function finished", hold(addr) })
	conn, err := l.Accept()
	if err != nil {
		panic(err)
	}
	fmt.Println("running")
	<-interrupted
	fmt.Println("interrupted")
	conn.Close()
	said, err := task.Wait(context.Background())
	fmt.Println(err, said)
	p.Close()
}

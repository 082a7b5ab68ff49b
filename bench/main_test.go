package bench

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"testing"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/bench/frames"
)

// roleVar tells a copy of the test binary which child it is.
const roleVar = "BENCH_CHILD"

// children are what the test binary can be instead of a test.
var children = map[string]func() error{
	"frames":   func() error { return overInherited(echo) },
	"blocking": func() error { return frames.Echo(frames.Blocking(3)) },
	"bytes":    func() error { return frames.EchoBytes(frames.Blocking(3), false) },
	"fresh":    func() error { return frames.EchoBytes(frames.Blocking(3), true) },
	"hash":     func() error { return frames.HashStreams(frames.Blocking(3)) },
	"netrpc":   func() error { return overInherited(serveNetRPC) },
	"grpc":     func() error { return overInherited(serveGRPC) },
	"sleep":    func() error { return overInherited(sleep) },
}

func TestMain(m *testing.M) {
	if child, ok := children[os.Getenv(roleVar)]; ok {
		if err := child(); err != nil && err != io.EOF {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	flame.ServeIfRunner()
	os.Exit(m.Run())
}

func echo(conn net.Conn) error { return frames.Echo(conn) }

// sleep does nothing for as long as its parent lives, and needs no wake-up for that.
func sleep(conn net.Conn) error {
	_, err := conn.Read(make([]byte, 1))
	return err
}

func overInherited(serve func(net.Conn) error) error {
	conn, err := frames.Inherited()
	if err != nil {
		return err
	}
	return serve(conn)
}

// boot starts a copy of the test binary in the given role and returns the connection to it.
// When the test ends the connection is closed, and the child has ended.
func boot(tb testing.TB, role string) net.Conn {
	tb.Helper()
	conn, end, err := frames.Pair()
	if err != nil {
		tb.Fatal(err)
	}
	start(tb, role, end, conn)
	return conn
}

// bootBlocking is boot with a connection past Go's poller.
func bootBlocking(tb testing.TB, role string) frames.Blocking {
	tb.Helper()
	conn, end, err := frames.BlockingPair()
	if err != nil {
		tb.Fatal(err)
	}
	start(tb, role, os.NewFile(uintptr(end), "child"), conn)
	return conn
}

// bootAsleep starts a copy that only sleeps, and returns its process id.
func bootAsleep(tb testing.TB) int {
	tb.Helper()
	conn, end, err := frames.Pair()
	if err != nil {
		tb.Fatal(err)
	}
	return start(tb, "sleep", end, conn)
}

// start starts the copy, which inherits end, and sees to it that it is gone when the test ends.
func start(tb testing.TB, role string, end *os.File, conn io.Closer) (pid int) {
	tb.Helper()
	defer end.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleVar+"="+role)
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{end}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		conn.Close()
		if err := cmd.Wait(); err != nil {
			tb.Errorf("child %s: %v", role, err)
		}
	})
	return cmd.Process.Pid
}

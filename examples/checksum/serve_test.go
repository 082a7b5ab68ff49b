package main

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// service is the program with its page.
type service struct {
	url string
	cmd *exec.Cmd
	wg  sync.WaitGroup // what it prints
	out string         // that
}

// startService starts the program in a directory until the test is over.
func startService(t *testing.T, env []string, dir string, flags ...string) *service {
	t.Helper()
	s := &service{cmd: exec.CommandContext(t.Context(), build(t), append(flags, "-serve", "127.0.0.1:0")...)}
	s.cmd.Env, s.cmd.Dir = env, dir
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.stop() })
	said := bufio.NewReader(stderr)
	line, err := said.ReadString('\n')
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "open ")
	if !ok {
		t.Fatalf("it says %q, %v", line, err)
	}
	s.url = url
	s.wg.Go(func() {
		rest, _ := io.ReadAll(said)
		s.out = string(rest)
	})
	return s
}

// stop interrupts it, and returns what it has printed and its exit code.
func (s *service) stop() (string, int) {
	s.cmd.Process.Signal(os.Interrupt)
	s.wg.Wait()
	s.cmd.Wait()
	return s.out, s.cmd.ProcessState.ExitCode()
}

func TestTheProgramServesThePage(t *testing.T) {
	// Given the program with its page, on which a file was hashed,
	dir := t.TempDir()
	s := startService(t, os.Environ(), dir, "-db", "sums%41.db")
	answer, err := request(t.Context(), s.url, http.MethodPut, "/files?name=a", strings.NewReader("a"))
	c := of(t, answer, err)
	if want := fmt.Sprintf("%x", sha256.Sum256([]byte("a"))); c.SHA256 != want || c.PID == s.cmd.Process.Pid {
		t.Errorf("%+v", c)
	}
	if text, err := request(t.Context(), s.url, http.MethodGet, "/", nil); !strings.Contains(text, "<title>Checksums while you upload</title>") {
		t.Errorf("%q, %v", text, err)
	}
	// when it is interrupted, then it ends in peace and leaves nothing behind
	if out, code := s.stop(); strings.Contains(out, "WARN") || strings.Contains(out, "ERROR") || code != 0 {
		t.Errorf("exit code %d: %s", code, out)
	}
	if running(t, build(t)) {
		t.Error("a process is left")
	}
	// but its database, which the next has, too.
	if files, err := filepath.Glob(filepath.Join(dir, "*.db")); len(files) != 1 || filepath.Base(files[0]) != "sums%41.db" {
		t.Errorf("%q, %v", files, err)
	}
	s = startService(t, os.Environ(), dir, "-db", "sums%41.db")
	if list, err := request(t.Context(), s.url, http.MethodGet, "/checksums", nil); !strings.Contains(list, c.SHA256) {
		t.Errorf("%q, %v", list, err)
	}
}

func TestServingWhatCannotBe(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	err = serve(t.Context(), client, records, options{runners: 1, concurrency: 1, serve: l.Addr().String()})
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.HasSuffix(err.Error(), ": choose an address with -serve, such as localhost:8081") {
		t.Errorf("got %v", err)
	}
	_, stderr, code := start(t, build(t), t.TempDir(), "-serve", "127.0.0.1:0", "-db", "no/such/folder.db")
	if !strings.HasPrefix(stderr, "checksum: the database of checksums: ") || !strings.HasSuffix(stderr, ": choose another with -db\n") || code != 1 {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
}

func TestAnObjectIsHashedByItsName(t *testing.T) {
	// Given an object in a real S3 server,
	g := startGateway(t)
	content := strings.Repeat("0123456789abcdef", 500_000)
	g.upload(t, "bucket", map[string]string{"a b": content})
	s := startService(t, g.env(), t.TempDir())
	// when it is named, then a runner hashes it,
	l := listen(t, s.url, "p")
	answer, err := request(t.Context(), s.url, http.MethodPut, "/objects?page=p&file=0&name=s3://bucket/a+b", nil)
	got := of(t, answer, err)
	if want := fmt.Sprintf("%x", sha256.Sum256([]byte(content))); got.SHA256 != want || got.Size != int64(len(content)) || got.Name != "s3://bucket/a b" {
		t.Errorf("%+v", got)
	}
	if told := l.next(t); told.PID != got.PID || told.PID == s.cmd.Process.Pid || told.File != "0" {
		t.Errorf("told %+v", told)
	}
	// and what is not there is said.
	for name, want := range map[string]string{
		"s3://bucket/missing": "there is no such object (any more)",
		"s3://missing/a":      "there is no such bucket: is its name right, and AWS_ENDPOINT_URL?",
		"s3://bucket":         "it names no object: write s3://bucket/key",
		"https://bucket/a":    "it names no object: write s3://bucket/key",
		"":                    "it names no object: write s3://bucket/key",
	} {
		if answer, err := request(t.Context(), s.url, http.MethodPut, "/objects?name="+name, nil); answer != "422 "+want+"\n" || err != nil {
			t.Errorf("%q: %q, %v", name, answer, err)
		}
	}
}

func TestAnObjectWithoutCredentials(t *testing.T) {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_") })
	s := startService(t, append(env, "AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull, "AWS_EC2_METADATA_DISABLED=true"), t.TempDir())
	answer, err := request(t.Context(), s.url, http.MethodPut, "/objects?name=s3://bucket/key", nil)
	if answer != "422 S3: no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE\n" || err != nil {
		t.Errorf("%q, %v", answer, err)
	}
}

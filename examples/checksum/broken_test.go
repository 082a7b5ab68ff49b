package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// fake returns an S3 server that answers as no real one can be made to.
func fake(t *testing.T, answer http.HandlerFunc) *gateway {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return &gateway{endpoint: server.URL, key: "key", secret: "secret"}
}

func TestAnObjectThatBreaksOff(t *testing.T) {
	// Given a server that promises more of one object than it sends,
	g, program := fake(t, func(w http.ResponseWriter, r *http.Request) {
		content := "content"
		if strings.HasSuffix(r.URL.Path, "/bad") {
			w.Header().Set("Content-Length", "1000")
		}
		fmt.Fprint(w, content)
	}), build(t)
	// when objects are hashed, then that one is named, and the other is hashed.
	stdout, stderr, code := startWith(t, g.env(), program, t.TempDir(), "s3://bucket/bad", "s3://bucket/good")
	want := sums("s3://bucket", map[string]string{"good": "content"})[0]
	if stdout != want || code != 1 || stderr != "checksum: s3://bucket/bad: the connection broke off while it was read: try again\n" {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

func TestAnswersThatAreErrors(t *testing.T) {
	answers := map[string]string{
		"/denied/a": "AccessDenied", "/moved/a": "PermanentRedirect", "/cold/a": "InvalidObjectState", "/odd/a": "",
	}
	g, program := fake(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead { // it has no text
			w.WriteHeader(http.StatusForbidden)
			return
		}
		if r.URL.Query().Has("list-type") {
			fmt.Fprint(w, `<ListBucketResult><Contents><Key>a</Key><Size>1</Size></Contents></ListBucketResult>`)
			return
		}
		w.WriteHeader(http.StatusForbidden)
		if code := answers[r.URL.Path]; code != "" {
			fmt.Fprintf(w, "<Error><Code>%s</Code><Message>It says why.</Message></Error>", code)
		}
	}), build(t)
	for name, want := range map[string]string{
		"s3://denied/a": "s3://denied/a: access denied (AccessDenied): check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, and what they allow",
		"s3://moved":    "s3://moved/a: the bucket is in another region (PermanentRedirect): set AWS_REGION to it",
		"s3://cold":     "s3://cold/a: InvalidObjectState: It says why.",
		"s3://odd":      "s3://odd/a: access denied (Forbidden): check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, and what they allow",
	} {
		stdout, stderr, code := startWith(t, g.env(), program, t.TempDir(), name)
		if stdout != "" || stderr != "checksum: "+want+"\n" || code != 1 {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q\nwant %q", name, code, stdout, stderr, want)
		}
	}
}

func TestAServerThatIsGoneIsNotWaitedForWithEveryObject(t *testing.T) {
	// Given a server that is never able to answer, and a list of many objects in it,
	var asked atomic.Int64
	g, program := fake(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	}), build(t)
	const objects = 100
	list := ""
	for i := range objects {
		list += fmt.Sprintf("%064d  s3://bucket/%d\n", 0, i)
	}
	// when a runner reads them, then it asks again for a few, and for all once.
	cmd := exec.CommandContext(t.Context(), program, "-c", "-runners=1", "-concurrency=10")
	cmd.Env, cmd.Stdin = g.env("AWS_MAX_ATTEMPTS="), strings.NewReader(list)
	stdout, stderr, code := finish(t, cmd, t.TempDir())
	if n := asked.Load(); n <= objects || n > objects+retries {
		t.Errorf("it asked %d times", n)
	}
	if n := strings.Count(stdout, ": FAILED open or read\n"); n != objects || code != 1 {
		t.Errorf("exit code %d, %d objects failed, stderr %q", code, n, stderr)
	}
}

func TestAnInterruptEndsTheReadingOfAnObject(t *testing.T) {
	// Given the program at work on an object that it can never read to its end,
	g, program := startGateway(t), build(t)
	g.upload(t, "bucket", map[string]string{"a": "a"})
	huge(t, filepath.Join(g.dir, "bucket"))
	interrupt(t, g, program, func(stdout io.Reader) error {
		_, err := stdout.Read(make([]byte, 1)) // of the other one
		return err
	})
}

func TestAnInterruptEndsTheWaitForAServer(t *testing.T) {
	// Given a server that takes connections and never answers,
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	g := &gateway{endpoint: "http://" + l.Addr().String(), key: "key", secret: "secret"}
	interrupt(t, g, build(t), func(io.Reader) error {
		c, err := l.Accept()
		if err == nil {
			t.Cleanup(func() { c.Close() })
		}
		return err
	})
}

// interrupt starts the program, waits for it, interrupts it, and sees it end with its runners.
func interrupt(t *testing.T, g *gateway, program string, wait func(stdout io.Reader) error) {
	t.Helper()
	stdout, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdout.Close()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, "s3://bucket")
	cmd.Env, cmd.Stdout, cmd.Stderr = g.env(), write, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	if err := wait(stdout); err != nil {
		t.Error(err)
	}
	cmd.Process.Signal(os.Interrupt)
	cmd.Wait()
	if !strings.HasPrefix(stderr.String(), "checksum: interrupt") || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("%v, stderr %q", cmd.ProcessState, &stderr)
	}
	if running(t, program) {
		t.Error("a process is left")
	}
}

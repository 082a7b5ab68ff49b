package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend/process"
)

func TestMain(m *testing.M) {
	flame.ServeIfRunner()
	os.Exit(m.Run())
}

// an upload is one that takes its time: half of it is there, the rest comes when the test wants it.
type upload struct {
	text string
	rest *io.PipeWriter
	wg   sync.WaitGroup
	sum  checksum
	err  error
}

// begin sends the first half of a text to the page at url.
func begin(t *testing.T, url, text string) *upload {
	t.Helper()
	body, rest := io.Pipe()
	u := &upload{text: text, rest: rest}
	u.wg.Go(func() {
		u.sum, u.err = put(url, body)
		body.CloseWithError(io.ErrClosedPipe) // nobody reads the rest
	})
	t.Cleanup(func() {
		rest.CloseWithError(io.ErrUnexpectedEOF)
		u.wg.Wait()
	})
	if _, err := io.WriteString(rest, text[:len(text)/2]); err != nil {
		t.Fatal(err)
	}
	return u
}

func put(url string, body io.Reader) (sum checksum, err error) {
	request, err := http.NewRequest(http.MethodPut, url+"/files", body)
	if err != nil {
		return sum, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return sum, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		return sum, fmt.Errorf("%s: %s, %w", answer.Status, text, err)
	}
	return sum, json.Unmarshal(text, &sum)
}

// finish sends the rest and returns the host that hashed it all.
func (u *upload) finish(t *testing.T) string {
	t.Helper()
	io.WriteString(u.rest, u.text[len(u.text)/2:])
	u.rest.Close()
	u.wg.Wait()
	if want := fmt.Sprintf("%x", sha256.Sum256([]byte(u.text))); u.err != nil || u.sum.SHA256 != want || u.sum.Bytes != int64(len(u.text)) {
		t.Errorf("got %+v, %v; want %s of %d bytes", u.sum, u.err, want, len(u.text))
	}
	return u.sum.Host
}

// seen returns what the page at url shows of the pool.
func seen(t *testing.T, url string) (s stats) {
	t.Helper()
	answer, err := http.Get(url + "/stats")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

// eventually waits for what others do.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for start := time.Now(); !is(); {
		if time.Since(start) > time.Minute {
			t.Fatalf("never: %s", what)
		}
		wait := time.NewTimer(50 * time.Millisecond)
		<-wait.C
	}
}

// fromZeroToManyAndBack uploads as many files at a time as there may be runners, and returns the hosts that hashed them. exist says how
// many runners there are, for one who does not ask the page.
func fromZeroToManyAndBack(t *testing.T, url string, exist func() int) map[string]bool {
	t.Helper()
	// Given a page that nobody uses: there is no runner.
	if s := seen(t, url); len(s.Runners) != 0 || exist() != 0 {
		t.Fatalf("there are runners already: %+v, %d", s, exist())
	}
	// When files are uploaded,
	most := seen(t, url).Max
	uploads := make([]*upload, most)
	for i := range uploads {
		uploads[i] = begin(t, url, strings.Repeat(fmt.Sprintf("line %d\n", i), 100))
	}
	// then each has a runner.
	eventually(t, "each upload has a runner", func() bool { return seen(t, url).Running == most && exist() == most })
	for _, r := range seen(t, url).Runners {
		if r.Stage != "ready" || r.Running != 1 {
			t.Errorf("%+v", r)
		}
	}
	// When they are through, they have their checksums, and the runners leave.
	hosts := map[string]bool{}
	for _, u := range uploads {
		hosts[u.finish(t)] = true
	}
	start := time.Now()
	eventually(t, "all runners have left", func() bool { return len(seen(t, url).Runners) == 0 && exist() == 0 })
	t.Logf("%d runners were gone %s after the last upload", most, time.Since(start).Round(100*time.Millisecond))
	return hosts
}

// open opens a pool of processes and its page.
func open(t *testing.T, c flame.Config) string {
	t.Helper()
	c.Name, c.MaxConcurrency = "cluster", 1
	c.Backend = process.New(process.Options{Output: t.Output()})
	c.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	pool, err := flame.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler(pool))
	t.Cleanup(func() {
		pool.Close()
		server.Close()
	})
	return server.URL
}

func TestProcessesComeAndGoWithUploads(t *testing.T) {
	url := open(t, flame.Config{Max: 3, IdleShutdownAfter: 300 * time.Millisecond})
	fromZeroToManyAndBack(t, url, func() int { return len(seen(t, url).Runners) })
}

func TestThePageIsThere(t *testing.T) {
	answer, err := http.Get(open(t, flame.Config{}))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); err != nil || !strings.Contains(string(text), "Checksums on runners") {
		t.Errorf("%s, %v", text, err)
	}
}

func TestAnUploadThatBreaksOffFreesItsRunner(t *testing.T) {
	url := open(t, flame.Config{Max: 1})
	u := begin(t, url, "this will not be all there")
	eventually(t, "it has a runner", func() bool { return seen(t, url).Running == 1 })
	u.rest.CloseWithError(io.ErrUnexpectedEOF)
	eventually(t, "its runner is free", func() bool { return seen(t, url).Running == 0 })
	begin(t, url, "the next one").finish(t)
}

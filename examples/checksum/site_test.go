package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/fleetinglambda/flame"
)

// show serves the page and returns its URL.
func show(t *testing.T, pool *flame.Pool, client *s3.Client) string {
	t.Helper()
	if err := createRecords(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	s := &site{pool: pool, client: client, records: records}
	server := httptest.NewServer(s.handler())
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

// request sends one and returns the answer's status and text.
func request(ctx context.Context, server string, method, path string, content io.Reader) (string, error) {
	r, err := http.NewRequestWithContext(ctx, method, server+path, content)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return fmt.Sprintf("%d %s", answer.StatusCode, text), err
}

// of reads a checksum from an answer.
func of(t *testing.T, answer string, err error) (c checksum) {
	t.Helper()
	if text, ok := strings.CutPrefix(answer, "200 "); err != nil || !ok || json.Unmarshal([]byte(text), &c) != nil {
		t.Fatalf("%q, %v", answer, err)
	}
	return c
}

// listener is a page that is told what happens to its files.
type listener struct {
	events *bufio.Reader
}

// listen opens a page.
func listen(t *testing.T, server string, page string) *listener {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server+"/progress/"+page, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	l := &listener{bufio.NewReader(answer.Body)}
	if line, err := l.events.ReadString('\n'); line != ": listening\n" || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %q, %v", answer.Status, line, err)
	}
	return l
}

// next returns what it is told next.
func (l *listener) next(t *testing.T) (h happening) {
	t.Helper()
	for {
		line, err := l.events.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			if err := json.Unmarshal([]byte(data), &h); err != nil {
				t.Fatal(err)
			}
			return h
		}
	}
}

// upload is one under way, of which so much is sent as the test writes.
type upload struct {
	*io.PipeWriter
	wg     sync.WaitGroup
	cancel context.CancelFunc
	answer string
	err    error
}

// begin begins to upload a file.
func begin(t *testing.T, server string, query string) *upload {
	t.Helper()
	u := &upload{}
	var content io.Reader
	content, u.PipeWriter = io.Pipe()
	var ctx context.Context
	ctx, u.cancel = context.WithCancel(t.Context())
	u.wg.Go(func() { u.answer, u.err = request(ctx, server, http.MethodPut, "/files?"+query, content) })
	t.Cleanup(func() {
		u.cancel()
		u.Close()
		u.wg.Wait()
	})
	return u
}

// end ends it and returns the answer.
func (u *upload) end() (string, error) {
	u.Close()
	u.wg.Wait()
	return u.answer, u.err
}

// noise is so many bytes that look random.
func noise(size int64, seed byte) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{seed}), size)
}

func TestAnUploadIsHashedWhileItComes(t *testing.T) {
	// Given an upload of 100 MB of which one half has come,
	const size = 100 << 20
	server := show(t, open(t), client)
	l, u := listen(t, server, "p"), begin(t, server, "page=p&file=7&name=large")
	h := sha256.New()
	content := io.TeeReader(noise(size, 1), h)
	if _, err := io.CopyN(u, content, size/2); err != nil {
		t.Fatal(err)
	}
	// then the page is told of a process that has begun, and has hashed some of it,
	told := l.next(t)
	if told.File != "7" || told.PID == os.Getpid() || told.PID == 0 || told.Bytes != 0 {
		t.Errorf("told %+v", told)
	}
	pid := told.PID
	for told.Bytes == 0 {
		told = l.next(t)
	}
	if told.File != "7" || told.PID != pid || told.Bytes > size/2 || told.Speed <= 0 {
		t.Errorf("told %+v", told)
	}
	// and when the other half has come, the checksum is right.
	if _, err := io.Copy(u, content); err != nil {
		t.Fatal(err)
	}
	answer, err := u.end()
	got := of(t, answer, err)
	if want := (checksum{"large", size, fmt.Sprintf("%x", h.Sum(nil)), pid, got.At}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestFilesAtOnce(t *testing.T) {
	// Given more files at once than there are slots,
	server := show(t, open(t), client)
	var wg sync.WaitGroup
	answers := make([]string, 8)
	for i := range answers {
		wg.Go(func() {
			query := url.Values{"name": {fmt.Sprintf("%d ü/&?", i)}}
			answer, err := request(t.Context(), server, http.MethodPut, "/files?"+query.Encode(), noise(int64(i)<<20, byte(i)))
			if err != nil {
				t.Error(err)
			}
			answers[i] = answer
		})
	}
	wg.Wait()
	// then each has its own checksum.
	for i, answer := range answers {
		h := sha256.New()
		io.Copy(h, noise(int64(i)<<20, byte(i)))
		got := of(t, answer, nil)
		if got.Name != fmt.Sprintf("%d ü/&?", i) || got.Size != int64(i)<<20 || got.SHA256 != fmt.Sprintf("%x", h.Sum(nil)) {
			t.Errorf("%d: %+v", i, got)
		}
	}
}

func TestChecksumsAreRecordedByRunners(t *testing.T) {
	// Given files that were hashed,
	pool := open(t)
	server := show(t, pool, client)
	var want []checksum
	for i := range 5 {
		answer, err := request(t.Context(), server, http.MethodPut, "/files?name=recorded", strings.NewReader(fmt.Sprint(i)))
		want = append(want, of(t, answer, err))
	}
	// when all that was to be done is done,
	if err := pool.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	// then the page lists them.
	answer, err := request(t.Context(), server, http.MethodGet, "/checksums", nil)
	var all []checksum
	if err := json.Unmarshal([]byte(strings.TrimPrefix(answer, "200 ")), &all); err != nil {
		t.Fatal(answer, err)
	}
	for _, c := range want {
		if !slices.Contains(all, c) {
			t.Errorf("%+v is not among %+v", c, all)
		}
	}
	if err != nil {
		t.Error(err)
	}
}

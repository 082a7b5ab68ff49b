package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/fleetinglambda/flame"
)

// ended subscribes to a pool and returns a channel that gets how every call ends.
func ended(t *testing.T, pool *flame.Pool) <-chan flame.EventKind {
	t.Helper()
	kinds := make(chan flame.EventKind, 10)
	t.Cleanup(pool.Subscribe(func(e flame.Event) {
		if e.Kind == flame.CallEnded || e.Kind == flame.CallLost {
			kinds <- e.Kind
		}
	}))
	return kinds
}

// beginHashing begins an upload, of which a runner has begun to hash the first bytes, and returns the runner's process.
func beginHashing(t *testing.T, server string) (*upload, *listener, int) {
	t.Helper()
	l, u := listen(t, server, "p"), begin(t, server, "page=p&file=1&name=broken")
	if _, err := io.Copy(u, noise(1<<20, 1)); err != nil {
		t.Fatal(err)
	}
	told := l.next(t)
	if told.PID == 0 || told.PID == os.Getpid() {
		t.Fatalf("told %+v", told)
	}
	return u, l, told.PID
}

// problem returns the next problem that a page is told.
func (l *listener) problem(t *testing.T) string {
	t.Helper()
	for {
		if h := l.next(t); h.Problem != "" {
			return h.Problem
		}
	}
}

func TestAnUploadThatBreaksOffEndsItsFunction(t *testing.T) {
	// Given an upload that is being hashed,
	pool := open(t)
	server, over := show(t, pool, client), ended(t, pool)
	u, l, pid := beginHashing(t, server)
	// when its connection breaks off, then its function ends, and the page is told.
	u.cancel()
	if kind := <-over; kind != flame.CallEnded {
		t.Errorf("%v", kind)
	}
	if problem := l.problem(t); !strings.HasPrefix(problem, "the upload broke off") {
		t.Errorf("told %q", problem)
	}
	// The runner is well.
	answer, err := request(t.Context(), server, http.MethodPut, "/files?name=next", strings.NewReader(""))
	if c := of(t, answer, err); c.PID != pid {
		t.Errorf("%+v, want the runner to be process %d", c, pid)
	}
}

func TestARunnerThatDiesIsSaid(t *testing.T) {
	// Given an upload that is being hashed and has stalled,
	server := show(t, open(t), client)
	u, l, pid := beginHashing(t, server)
	// when the runner dies, then page and upload are told in words, while the upload still stalls,
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	const want = "the process that hashed it is gone (killed by signal: killed): try again"
	if problem := l.problem(t); problem != want {
		t.Errorf("the page is told %q", problem)
	}
	u.wg.Wait()
	if u.err == nil && u.answer != "422 "+want+"\n" {
		t.Errorf("the upload is answered with %q", u.answer)
	}
	// and the next one is hashed.
	answer, err := request(t.Context(), server, http.MethodPut, "/files?name=next", strings.NewReader(""))
	if c := of(t, answer, err); c.PID == pid || c.Size != 0 {
		t.Errorf("%+v", c)
	}
}

func TestAPoolThatIsClosedIsSaidOnThePage(t *testing.T) {
	pool := open(t)
	pool.Close()
	server := show(t, pool, client)
	l := listen(t, server, "p")
	answer, err := request(t.Context(), server, http.MethodPut, "/files?page=p&file=1&name=a", strings.NewReader("a"))
	if told := l.next(t); told.Problem != flame.ErrPoolClosed.Error() || answer != "422 "+told.Problem+"\n" || err != nil {
		t.Errorf("%q, %v, told %+v", answer, err, told)
	}
}

func TestAPageWhoseNameIsTaken(t *testing.T) {
	server := show(t, open(t), client)
	listen(t, server, "p")
	if answer, err := request(t.Context(), server, http.MethodGet, "/progress/p", nil); answer != "409 another page has that name\n" || err != nil {
		t.Errorf("%q, %v", answer, err)
	}
}

func TestRecordsThatCannotBeRead(t *testing.T) {
	gone, err := openRecords("/no/such/folder.db")
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	(&site{records: gone}).handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/checksums", nil))
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "unable to open database file") {
		t.Errorf("%d %q", w.Code, w.Body)
	}
}

//go:build linux

package flame_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/fleetinglambda/flame"
)

func TestN17_TheContextGivenToCallIsTheCallsOwn(t *testing.T) {
	p, _ := open(t, flame.Config{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	got, err := flame.Call(ctx, p, func(own context.Context) (string, error) {
		deadline, ok := ctx.Deadline()
		return fmt.Sprint(own == ctx, ok, time.Until(deadline) < time.Minute, ctx.Err()), nil
	}, flame.Timeout(time.Second*30))
	if err != nil || got != "true true true <nil>" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestN17_CapturedContextEndsWhenTheParentsDoes(t *testing.T) {
	p, _ := open(t, flame.Config{})
	n := listen(t)
	addr, why := n.addr, errors.New("changed my mind")
	other, cancel := context.WithCancelCause(t.Context())
	task := flame.Start(t.Context(), p, func(own context.Context) ([]error, error) {
		if err := errors.Join(tell(addr, fmt.Sprint("begun ", other.Err())), own.Err()); err != nil {
			return nil, err
		}
		<-other.Done()
		return []error{other.Err(), context.Cause(other), own.Err()}, nil
	})
	if said := n.next(t); said != "begun <nil>" {
		t.Fatal(said)
	}
	cancel(fmt.Errorf("cancelled: %w", why))
	got, err := task.Wait(t.Context())
	if err != nil || len(got) != 3 || !errors.Is(got[0], context.Canceled) || got[1].Error() != "cancelled: changed my mind" || got[2] != nil {
		t.Errorf("%v, %v", got, err)
	}
}

func TestN17_CapturedContextsThatHaveEndedOrEndByTheirDeadline(t *testing.T) {
	p, _ := open(t, flame.Config{})
	over, cancel := context.WithCancelCause(context.Background())
	cancel(io.ErrUnexpectedEOF)
	late, cancelLate := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancelLate()
	got, err := flame.Call(t.Context(), p, func(context.Context) (string, error) {
		<-late.Done()
		_, has := late.Deadline()
		return fmt.Sprintf("%v|%v|%v|%v", over.Err(), errors.Is(context.Cause(over), io.ErrUnexpectedEOF), late.Err(), has), nil
	})
	if err != nil || got != "context canceled|true|context deadline exceeded|true" {
		t.Errorf("%q, %v", got, err)
	}
}

// paper is what a logger writes on, for several goroutines.
type paper struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (p *paper) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *paper) read() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

func untimed(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

type ticket struct {
	Number int    `json:"n"`
	Owner  string `json:"owner"`
}

// speak logs one of everything.
func speak(l *slog.Logger) {
	l = l.With("service", "images").WithGroup("request").With("id", 7)
	l.Debug("too quiet")
	l.Info("told", "text", "a \"b\"\nc", "n", -1, "u", uint64(1)<<63, "f", 1.5, "ok", true, "took", time.Second,
		"when", time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), "err", fmt.Errorf("read: %w", io.EOF), "nil", nil,
		"ticket", ticket{1, "ü"}, "list", []int{1, 2}, "bytes", []byte("raw"), slog.Group("inner", "a", 1, slog.Group("", "b", 2)))
	l.WithGroup("empty").Warn("careful")
}

func TestN17_CapturedLoggerLogsOnTheParentAsItWouldHere(t *testing.T) {
	p, _ := open(t, flame.Config{})
	options := &slog.HandlerOptions{AddSource: true, ReplaceAttr: untimed}
	for i, form := range []struct {
		handler   func(io.Writer) slog.Handler
		mark, end string // what its lines have besides, and end with
	}{
		{func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, options) }, ` pool=test runner=%s call=%d`, "\n"},
		{func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, options) }, `,"pool":"test","runner":"%s","call":%d`, "}\n"},
	} {
		here, there := new(paper), new(paper)
		speak(slog.New(form.handler(here)).With("first", 1))
		l := slog.New(form.handler(there)).With("first", 1)
		runner, err := flame.Call(t.Context(), p, func(context.Context) (string, error) {
			speak(l)
			info, _ := flame.Parent()
			return info.Runner, nil
		})
		want := strings.ReplaceAll(here.read(), form.end, fmt.Sprintf(form.mark, runner, i+1)+form.end)
		if err != nil || there.read() != want || strings.Count(want, "\n") != 2 {
			t.Errorf("%v\nwant %sgot  %s", err, want, there.read())
		}
	}
}

func TestN17_CapturedLogLoggerLogsOnTheParent(t *testing.T) {
	p, _ := open(t, flame.Config{})
	out, pid := new(paper), os.Getpid()
	plain, placed := log.New(out, "plain: ", log.Lmsgprefix), log.New(out, "placed: ", log.Lshortfile)
	err := flame.Run(t.Context(), p, func(context.Context) error {
		plain.Printf("same process: %v", os.Getpid() == pid)
		plain.Print("bell \a and escape \x1b[31m")
		placed.Print("here")
		return nil
	})
	want := "plain: same process: false\nplain: bell \\a and escape \\x1b[31m\nplaced: lend_test.go:"
	if got := out.read(); err != nil || !strings.HasPrefix(got, want) || !strings.HasSuffix(got, ": here\n") {
		t.Errorf("%q, %v", got, err)
	}
}

func TestN17_ALoggerThatPanicsOrIsSlowHarmsNobody(t *testing.T) {
	p, _ := open(t, flame.Config{})
	bad := slog.New(slog.NewTextHandler(writer(func([]byte) (int, error) { panic("no paper") }), nil))
	if err := flame.Run(t.Context(), p, func(context.Context) error {
		bad.Info("lost")
		return nil
	}); err != nil {
		t.Error(err)
	}
	gate := make(chan struct{})
	slow := slog.New(slog.NewTextHandler(writer(func(b []byte) (int, error) { <-gate; return len(b), nil }), nil))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	got, err := flame.Call(ctx, p, func(context.Context) (int, error) {
		slow.Info("wait for it")
		return 7, nil
	})
	if err != nil || got != 7 {
		t.Errorf("%d, %v", got, err)
	}
	close(gate)
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

func sum(r io.Reader) (string, error) {
	h := sha256.New()
	n, err := io.Copy(h, r)
	return fmt.Sprintf("%d %x", n, h.Sum(nil)), err
}

func TestF12_AReaderOpenedHereIsReadThere(t *testing.T) {
	p, _ := open(t, flame.Config{})
	for _, size := range []int{0, 1, 100, 32 << 10, 256 << 10, 3<<20 + 7} {
		data := make([]byte, size)
		rand.Read(data)
		want, _ := sum(bytes.NewReader(data))
		for name, r := range map[string]io.Reader{
			"whole": bytes.NewReader(data), "halves": iotest.HalfReader(bytes.NewReader(data)), "error with data": iotest.DataErrReader(bytes.NewReader(data)),
		} {
			got, err := flame.Call(t.Context(), p, func(context.Context) (string, error) { return sum(r) })
			if err != nil || got != want {
				t.Errorf("%d bytes, %s: %q, %v instead of %q", size, name, got, err, want)
			}
		}
	}
}

func TestF12_ErrorsAndCloseAreTheOriginals(t *testing.T) {
	p, _ := open(t, flame.Config{})
	r := io.MultiReader(strings.NewReader("begun, "), iotest.ErrReader(&os.PathError{Op: "read", Path: "/tape", Err: io.ErrUnexpectedEOF}))
	err := flame.Run(t.Context(), p, func(context.Context) error {
		b, err := io.ReadAll(r)
		if string(b) != "begun, " {
			return fmt.Errorf("read %q", b)
		}
		return err
	})
	var path *os.PathError
	if !errors.As(err, &path) || path.Path != "/tape" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	body := struct{ io.ReadCloser }{file}
	got, err := flame.Call(t.Context(), p, func(context.Context) (string, error) {
		b := make([]byte, 3)
		_, err := io.ReadFull(body, b)
		return string(b), errors.Join(err, body.Close())
	})
	if err != nil || got != "con" {
		t.Errorf("%q, %v", got, err)
	}
	if err := file.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the function has closed it, and here Close says %v", err)
	}
}

// TestF12_AReaderWhoseTypeTheCompilerKnows: it calls that type's methods, so nothing can stand in.
func TestF12_AReaderWhoseTypeTheCompilerKnows(t *testing.T) {
	p, _ := open(t, flame.Config{})
	var r io.Reader = strings.NewReader("text")
	got, err := flame.Call(t.Context(), p, func(context.Context) (int, error) { return r.Read(make([]byte, 10)) })
	var panicked *flame.PanicError
	if errors.As(err, &panicked) && strings.Contains(panicked.Value, "struct{ io.Reader }{file}") {
		return
	}
	if got != 4 || err != nil { // without optimisation it does not know
		t.Errorf("%d, %v", got, err)
	}
}

func TestF12_ABlockedReadEndsWithTheCall(t *testing.T) {
	p, _ := open(t, flame.Config{})
	n := listen(t)
	addr := n.addr
	from, to := io.Pipe()
	r := struct{ io.Reader }{from}
	ctx, cancel := context.WithCancel(t.Context())
	task := flame.Start(ctx, p, func(context.Context) (int, error) {
		if err := tell(addr, "reading"); err != nil {
			return 0, err
		}
		n, err := r.Read(make([]byte, 10))
		return n, errors.Join(err, tell(addr, fmt.Sprint(n, " ", err)))
	})
	if said := n.next(t); said != "reading" {
		t.Fatal(said)
	}
	cancel()
	if said := n.next(t); said != "0 context canceled" {
		t.Error(said)
	}
	if _, err := task.Wait(t.Context()); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	to.Close() // or the abandoned Read would stay
}

// TestN17_AnUploadIsReadOnTheRunner hands a request to a runner as a handler has it.
func TestN17_AnUploadIsReadOnTheRunner(t *testing.T) {
	p, _ := open(t, flame.Config{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, err := flame.Call(r.Context(), p, func(ctx context.Context) (string, error) {
			s, err := sum(r.Body)
			return fmt.Sprint(r.Method, " ", r.URL.Path, " ", r.Header.Get("X-Name"), " ", r.FormValue("q"), " ", s, " ", r.Context() == ctx), err
		})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, got)
	}))
	defer server.Close()
	data := make([]byte, 1<<20)
	rand.Read(data)
	want, _ := sum(bytes.NewReader(data))
	request, _ := http.NewRequestWithContext(t.Context(), "PUT", server.URL+"/up?q=1", bytes.NewReader(data))
	request.Header.Set("X-Name", "ü")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if got, err := io.ReadAll(answer.Body); err != nil || string(got) != "PUT /up ü 1 "+want+" true" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestN17_AHandlersContextDoesNotEndItsCast: ctx bounds only the wait for a slot, also where the function has captured it.
func TestN17_AHandlersContextDoesNotEndItsCast(t *testing.T) {
	p, _ := open(t, flame.Config{})
	n := listen(t)
	addr := n.addr
	handlers, returned := context.WithCancel(t.Context())
	other, cancel := context.WithCancel(t.Context())
	if err := flame.Cast(handlers, p, func(own context.Context) error {
		if err := tell(addr, "begun"); err != nil {
			return err
		}
		<-other.Done()
		return tell(addr, fmt.Sprint(own == handlers, own.Err(), handlers.Err()))
	}); err != nil {
		t.Fatal(err)
	}
	if said := n.next(t); said != "begun" {
		t.Fatal(said)
	}
	returned()
	cancel()
	if said := n.next(t); said != "true <nil> <nil>" {
		t.Error(said)
	}
}

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image/jpeg"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/fleetinglambda/flame"
)

// visitor is a page that waits for the thumbnails of a video, as the browser does.
type visitor struct {
	events *bufio.Reader
	leave  context.CancelFunc
}

// watch opens a page that waits for a video.
func watch(t *testing.T, server *httptest.Server, video string) *visitor {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/thumbs/"+video, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		leave()
		answer.Body.Close()
	})
	v := &visitor{bufio.NewReader(answer.Body), leave}
	if event, _ := v.next(t); event != "ready" || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s, then %q", answer.Status, event)
	}
	return v
}

// next returns the next event.
func (v *visitor) next(t *testing.T) (event, data string) {
	t.Helper()
	for {
		line, err := v.events.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if rest, ok := strings.CutPrefix(line, "event: "); ok {
			event = strings.TrimSpace(rest)
		} else if rest, ok := strings.CutPrefix(line, "data: "); ok {
			data = strings.TrimSpace(rest)
		} else if line == "\n" {
			return event, data
		}
	}
}

// rest reads to the end and returns when in the video the thumbnails are, and why there are no more.
func (v *visitor) rest(t *testing.T) (at []float64, problem string) {
	t.Helper()
	for {
		event, data := v.next(t)
		if event == "end" {
			if err := json.Unmarshal([]byte(data), &problem); err != nil {
				t.Fatal(err)
			}
			return at, problem
		}
		at = append(at, picture(t, data))
	}
}

// picture checks that an event has a thumbnail in it, and returns when in the video it is.
func picture(t *testing.T, data string) float64 {
	t.Helper()
	var got thumb
	if err := json.Unmarshal([]byte(data), &got); err != nil {
		t.Fatal(err)
	}
	config, err := jpeg.DecodeConfig(bytes.NewReader(got.JPEG))
	if err != nil || config.Width != 320 || config.Height != 240 {
		t.Errorf("at %v: %d by %d, %v", got.At, config.Width, config.Height, err)
	}
	return got.At
}

// put uploads a video and returns the answer.
func put(ctx context.Context, server *httptest.Server, video string, content io.Reader) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, server.URL+"/videos/"+video, content)
	if err != nil {
		return "", err
	}
	answer, err := server.Client().Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return fmt.Sprintf("%d %s", answer.StatusCode, text), err
}

var everySecond = []float64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}

// half is an upload of which one half is held back until the test wants it to go on.
type half struct {
	io.Reader
	*io.PipeWriter
	first, second []byte
	sent          sync.WaitGroup // the first half
	wg            sync.WaitGroup // the upload
	ctx           context.Context
	cancel        context.CancelFunc
	answer        string
	err           error
}

// putHalf uploads the first half of a file.
func putHalf(t *testing.T, server *httptest.Server, name, path string) *half {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	h := &half{first: content[:len(content)/2], second: content[len(content)/2:]}
	h.Reader, h.PipeWriter = io.Pipe()
	h.ctx, h.cancel = context.WithCancel(t.Context())
	h.wg.Go(func() { h.answer, h.err = put(h.ctx, server, name, h.Reader) })
	h.sent.Go(func() { h.Write(h.first) })
	t.Cleanup(func() {
		h.cancel()
		h.Close()
		h.sent.Wait()
		h.wg.Wait()
	})
	return h
}

// goOn uploads the other half.
func (h *half) goOn() {
	h.sent.Wait()
	h.Write(h.second)
	h.Close()
	h.wg.Wait()
}

func TestThumbnailsComeWhileTheVideoIsUploaded(t *testing.T) {
	// Given a video of which one half has been uploaded,
	_, server := open(t, 1)
	v, h := watch(t, server, "a"), putHalf(t, server, "a", video(t, "test.mkv"))
	// then the page has some thumbnails,
	for _, at := range everySecond[:3] {
		if event, data := v.next(t); event != "thumb" || picture(t, data) != at {
			t.Fatalf("%s: %.50s", event, data)
		}
	}
	// and when the other half comes, it has them all.
	h.goOn()
	if at, problem := v.rest(t); !slices.Equal(at, everySecond[3:]) || problem != "" {
		t.Errorf("%v, %q", at, problem)
	}
	if h.answer != "200 " || h.err != nil {
		t.Errorf("%q, %v", h.answer, h.err)
	}
}

func TestKindsOfFiles(t *testing.T) {
	_, server := open(t, 1)
	for name, c := range map[string]struct {
		options []string
		problem string
	}{
		"webm.mkv":       {nil, ""},
		"small.mp4":      {[]string{"-movflags", "+faststart"}, ""},
		"fragmented.mp4": {[]string{"-movflags", "+frag_keyframe+empty_moov"}, ""},
		"stream.ts":      {nil, ""},
		"old.avi":        {nil, ""},
		"last.mp4":       {nil, errIndexIsLast.Error()},
		"last.mov":       {nil, errIndexIsLast.Error()},
	} {
		content, err := os.Open(video(t, name, c.options...))
		if err != nil {
			t.Fatal(err)
		}
		defer content.Close()
		v := watch(t, server, name)
		answer, _ := put(t.Context(), server, name, content) // that cannot be read if it comes before the end of the upload
		at, problem := v.rest(t)
		if problem != c.problem || problem == "" && (!slices.Equal(at, everySecond) || answer != "200 ") {
			t.Errorf("%s: %v, %q, %q", name, at, problem, answer)
		}
	}
}

func TestWhatIsNoVideo(t *testing.T) {
	video(t, "test.mkv") // there is an ffmpeg
	_, server := open(t, 1)
	secret := filepath.Join(t.TempDir(), "secret.mkv")
	for name, c := range map[string]struct{ content, problem string }{
		"text":     {strings.Repeat("This is no video.\n", 1000), "ffmpeg finds no video in this file (Invalid data found when processing input)"},
		"empty":    {"", "ffmpeg finds no video in this file (Invalid data found when processing input)"},
		"playlist": {"ffconcat version 1.0\nfile " + secret + "\n", "ffmpeg finds no video in this file (Operation not permitted)"},
	} {
		v := watch(t, server, name)
		answer, err := put(t.Context(), server, name, strings.NewReader(c.content))
		at, problem := v.rest(t)
		if len(at) > 0 || problem != c.problem || answer != "422 "+c.problem+"\n" || err != nil {
			t.Errorf("%s: %v, %q, %q, %v", name, at, problem, answer, err)
		}
	}
}

func TestTwoVideosAtOnce(t *testing.T) {
	_, server := open(t, 2)
	a, halfA := watch(t, server, "a"), putHalf(t, server, "a", video(t, "test.mkv"))
	b, halfB := watch(t, server, "b"), putHalf(t, server, "b", video(t, "test.mkv"))
	a.next(t)
	b.next(t)
	halfB.goOn()
	halfA.goOn()
	for _, v := range []*visitor{a, b} {
		if at, problem := v.rest(t); !slices.Equal(at, everySecond[1:]) || problem != "" {
			t.Errorf("%v, %q", at, problem)
		}
	}
}

func TestWithoutFfmpegItSaysWhatToInstall(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, server := open(t, 1)
	v := watch(t, server, "a")
	const want = `exec: "ffmpeg": executable file not found in $PATH: install ffmpeg where the runners are, as with apt-get install ffmpeg`
	answer, err := put(t.Context(), server, "a", strings.NewReader("video"))
	if at, problem := v.rest(t); problem != want || len(at) > 0 || answer != "422 "+want+"\n" || err != nil {
		t.Errorf("%q, %q, %v", problem, answer, err)
	}
}

func TestThumbnailsThatNobodyOrAnotherWaitsFor(t *testing.T) {
	_, server := open(t, 1)
	if answer, err := put(t.Context(), server, "a", strings.NewReader("x")); err != nil || answer != "409 nobody waits for the thumbnails: GET /thumbs/a first\n" {
		t.Errorf("%q, %v", answer, err)
	}
	watch(t, server, "a")
	if answer, err := server.Client().Get(server.URL + "/thumbs/a"); err != nil || answer.StatusCode != http.StatusConflict {
		t.Errorf("%v, %v", answer, err)
	}
}

func TestThePageIsServedAndNothingElse(t *testing.T) {
	_, server := open(t, 1)
	for path, want := range map[string]string{"/": "200 text/html; charset=utf-8", "/other": "404 text/plain; charset=utf-8"} {
		answer, err := server.Client().Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if got := fmt.Sprint(answer.StatusCode, " ", answer.Header.Get("Content-Type")); got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
}

func TestAPoolThatIsClosedIsSaid(t *testing.T) {
	pool, server := open(t, 1)
	pool.Close()
	v := watch(t, server, "a")
	answer, err := put(t.Context(), server, "a", strings.NewReader("x"))
	if _, problem := v.rest(t); problem != flame.ErrPoolClosed.Error() || answer != "422 "+problem+"\n" || err != nil {
		t.Errorf("%q, %q, %v", problem, answer, err)
	}
}

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/fleetinglambda/flame/examples/internal/visit"
)

func TestABrowserShowsThumbnailsWhileItUploads(t *testing.T) {
	// Given a page in a browser, and a server that reads one half of what is uploaded,
	long, short := video(t, "test.mkv"), video(t, "small.mp4", "-movflags", "+faststart")
	text := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(text, []byte("This is no video.\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(long)
	if err != nil {
		t.Fatal(err)
	}
	_, server := open(t, 2)
	gate := visit.Hold(t, server, info.Size()/2)
	page := visit.Open(t, server.URL)
	page.Keep("thumbs-empty")

	// when two videos are chosen, and what is none,
	page.Choose(long, short, text)
	// then thumbnails are on the page before the uploads are over,
	page.Until("document.querySelectorAll('article:nth-child(2) img').length >= 3")
	page.Until("document.querySelectorAll('article:nth-child(1) img').length >= 3")
	if state := page.Value("document.querySelector('article:nth-child(1) output').value"); !strings.Contains(state, " % sent · ") {
		t.Errorf("it says %q", state)
	}
	page.Keep("thumbs-uploading")
	// all of them afterwards,
	gate.Open()
	page.Until("document.querySelectorAll('article:nth-child(2) img').length == 10")
	page.Until("document.querySelectorAll('article:nth-child(1) img').length == 10")
	page.Until("Array.from(document.images).every(i => i.complete && i.naturalWidth == 320)")
	page.Until("document.querySelector('article:nth-child(1) output').value == '10 thumbnails'")
	// and what is wrong in words.
	page.Until("document.querySelector('article:nth-child(3) [role=alert]')?.textContent.startsWith('ffmpeg finds no video in this file')")
	page.Keep("thumbs-done")
}

func TestABrowserThatStopsEndsTheWork(t *testing.T) {
	// Given a page that shows the first thumbnails of a video, which was dropped on it,
	path := video(t, "test.mkv")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	pool, server := open(t, 1)
	over := ended(t, pool)
	visit.Hold(t, server, info.Size()/2)
	page := visit.Open(t, server.URL)
	page.Do(chromedp.Evaluate[chromedp.Void]("document.querySelector('input').onchange = e => e.target.files.length && drop(e.target.files[0])"))
	page.Do(chromedp.Evaluate[chromedp.Void](`window.drop = file => {
		const dataTransfer = new DataTransfer()
		dataTransfer.items.add(file)
		document.querySelector('main').dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }))
	}`))
	page.Choose(path)
	page.Until("document.images.length >= 2")
	// when the button to stop is pressed with the keyboard,
	page.Do(chromedp.Focus(chromedp.CSS("button")), chromedp.KeyEvent("\r"))
	// then the function ends, and the page says how far it came.
	page.Until("document.querySelector('output').value.match(/^stopped, \\d+ thumbnails$/)")
	<-over
}

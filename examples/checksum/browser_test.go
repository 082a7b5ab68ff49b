package main

import (
	"crypto/sha256"
	"fmt"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/fleetinglambda/flame/examples/internal/visit"
)

func TestABrowserShowsHowFarARunnerIs(t *testing.T) {
	// Given a page in a browser, and a server that reads 40 MB of what is uploaded,
	pool := open(t)
	if err := createRecords(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer((&site{pool: pool, client: client, records: records}).handler())
	t.Cleanup(server.Close)
	gate := visit.Hold(t, server, 40_000_000)
	large, small := strings.Repeat("0123456789abcdef", 4_000_000), "small"
	dir := tree(t, map[string]string{"holiday in Lisbon.mov": large, "notes.txt": small, "empty": ""})
	page := visit.Open(t, server.URL)
	page.Keep("checksum-empty")

	// when files are chosen, then the page shows how much of the large one a runner has hashed while the rest is uploaded,
	page.Choose(dir+"/holiday in Lisbon.mov", dir+"/notes.txt", dir+"/empty")
	state := func(i int) string {
		return fmt.Sprintf("document.querySelector('article:nth-child(%d) output').value", i)
	}
	page.Until(state(1) + ".match(/^\\d\\d(\\.\\d)? MB of 64.0 MB · .*by process \\d+$/)")
	page.Keep("checksum-uploading")
	// and at the end the checksums of all,
	gate.Open()
	for i, content := range []string{large, small, ""} {
		page.Until(fmt.Sprintf("document.querySelector('article:nth-child(%d) code')?.textContent == '%x'", i+1, sha256.Sum256([]byte(content))))
	}
	// which are recorded,
	page.Until(fmt.Sprintf("document.querySelector('ol')?.textContent.includes('%x')", sha256.Sum256([]byte(large))))
	// and what is wrong in words.
	page.Value("document.querySelector('#object').value = 'https://bucket/key'; document.querySelector('form').requestSubmit(); ''")
	page.Until("document.querySelector('[role=alert]')?.textContent.includes('it names no object: write s3://bucket/key')")
	page.Keep("checksum-done")
}

func TestABrowserIsToldWhenARunnerDies(t *testing.T) {
	// Given a page in a browser that uploads a file,
	pool := open(t)
	server := httptest.NewServer((&site{pool: pool, client: client, records: records}).handler())
	t.Cleanup(server.Close)
	visit.Hold(t, server, 1_000_000)
	page := visit.Open(t, server.URL)
	page.Choose(tree(t, map[string]string{"large": strings.Repeat("0123456789abcdef", 1_000_000)}) + "/large")
	page.Until("document.querySelector('output')?.value.includes('by process ')")
	// when the runner dies, then the page says so.
	pid := 0
	if _, err := fmt.Sscan(page.Value("document.querySelector('output').value.split('by process ')[1]"), &pid); err != nil {
		t.Fatal(err)
	}
	runner, err := os.FindProcess(pid)
	if err != nil || pid == os.Getpid() {
		t.Fatal(pid, err)
	}
	runner.Kill()
	page.Until("document.querySelector('[role=alert]')?.textContent.trim() == 'the process that hashed it is gone (killed by signal: killed): try again'")
}

package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress shows how far it is on stderr, if that is a terminal.
type progress struct {
	bar   *progressbar.ProgressBar // nil: nobody looks
	files int
	bytes int64
	mixed bool // stdout is the same terminal
}

func newProgress() *progress {
	p := &progress{mixed: term.IsTerminal(int(os.Stdout.Fd()))}
	if term.IsTerminal(int(os.Stderr.Fd())) {
		p.bar = progressbar.NewOptions64(-1, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionShowBytes(true),
			progressbar.OptionSetDescription("hashing"), progressbar.OptionThrottle(65*time.Millisecond),
			progressbar.OptionClearOnFinish(), progressbar.OptionSpinnerType(14), progressbar.OptionShowCount())
	}
	return p
}

// done counts one file.
func (p *progress) done(size int64) {
	p.files++
	p.bytes += size
	if p.bar != nil {
		p.bar.Describe(fmt.Sprintf("hashing on runners: %d files", p.files))
		p.bar.Add64(size)
	}
}

// print writes a line without leaving parts of the bar on the terminal.
func (p *progress) print(to io.Writer, format string, args ...any) {
	if p.bar != nil && (p.mixed || to == os.Stderr) {
		p.bar.Clear()
	}
	fmt.Fprintf(to, format, args...)
}

// finish removes the bar and leaves one line of summary in its place.
func (p *progress) finish(took time.Duration) {
	if p.bar == nil {
		return
	}
	p.bar.Finish()
	fmt.Fprintf(os.Stderr, "%d files, %.1f MB in %.1f s\n", p.files, float64(p.bytes)/1e6, took.Seconds())
}

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// progress shows on stderr how far it is, if that is a terminal.
type progress struct {
	screen *mpb.Progress // nil: nobody looks
	bar    *mpb.Bar
	begun  time.Time
	bytes  int64
	files  atomic.Int64
	total  atomic.Int64 // files; 0: not known yet

	wg     sync.WaitGroup // count
	cancel context.CancelFunc
}

// newProgress begins to show the progress with the files at and below the paths.
func newProgress(paths []string) *progress {
	p := &progress{begun: time.Now()}
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		return p
	}
	p.screen = mpb.New(mpb.WithOutput(os.Stderr), mpb.WithRefreshRate(100*time.Millisecond))
	p.bar = p.screen.New(0, mpb.BarStyle().Lbound("").Rbound("").Filler("━").Tip("━").Padding("─"),
		mpb.AppendDecorators(decor.Any(p.text)))
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.wg.Go(func() { p.count(ctx, paths) })
	return p
}

// count finds out how much there is to do.
func (p *progress) count(ctx context.Context, paths []string) {
	var files, bytes int64
	for f := range find(paths) {
		if ctx.Err() != nil {
			return
		}
		files, bytes = files+1, bytes+f.size
	}
	p.total.Store(files)
	p.bar.SetTotal(bytes, false)
}

// text is what stands beside the bar.
func (p *progress) text(s decor.Statistics) string {
	files, total, took := p.files.Load(), p.total.Load(), time.Since(p.begun)
	rate := float64(s.Current) / took.Seconds() / 1e6
	if total == 0 || s.Current == 0 {
		return fmt.Sprintf(" %d files · %.1f MB · %.0f MB/s", files, megabytes(s.Current), rate)
	}
	left := time.Duration(float64(took) * float64(max(0, s.Total-s.Current)) / float64(s.Current))
	return fmt.Sprintf(" %d/%d files · %.1f/%.1f MB · %.0f MB/s · %v left",
		files, total, megabytes(s.Current), megabytes(s.Total), rate, left.Round(time.Second))
}

func megabytes(bytes int64) float64 { return float64(bytes) / 1e6 }

// above returns a writer to f whose lines come out above the bar if f is a terminal, too.
func (p *progress) above(f *os.File) io.Writer {
	if p.screen != nil && term.IsTerminal(int(f.Fd())) {
		return p.screen
	}
	return f
}

// done counts one file.
func (p *progress) done(f file) {
	p.files.Add(1)
	p.bytes += f.size
	if p.bar != nil {
		p.bar.IncrInt64(f.size)
	}
}

// finish removes the bar and leaves a line of summary in its place.
func (p *progress) finish() {
	if p.screen == nil {
		return
	}
	p.cancel()
	p.wg.Wait()
	p.bar.Abort(true)
	p.screen.Wait()
	took := time.Since(p.begun).Seconds()
	fmt.Fprintf(os.Stderr, "%d files, %.1f MB in %.1f s (%.0f MB/s)\n",
		p.files.Load(), megabytes(p.bytes), took, megabytes(p.bytes)/took)
}

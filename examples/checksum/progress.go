package main

import (
	"context"
	"fmt"
	"io"
	"iter"
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
	bar    *mpb.Bar      // of bytes, or if their number is unknown of files
	begun  time.Time
	bytes  atomic.Int64
	files  atomic.Int64

	ofFiles atomic.Int64 // 0: not known yet
	ofBytes atomic.Int64 // 0: not known, or not yet

	wg     sync.WaitGroup // count
	cancel context.CancelFunc
}

// newProgress begins to show the progress with the files.
func newProgress(files iter.Seq[file]) *progress {
	p := &progress{begun: time.Now()}
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		return p
	}
	p.screen = mpb.New(mpb.WithOutput(os.Stderr), mpb.WithRefreshRate(100*time.Millisecond))
	p.bar = p.screen.New(0, mpb.BarStyle().Lbound("").Rbound("").Filler("━").Tip("━").Padding("─"),
		mpb.AppendDecorators(decor.Any(p.text)))
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.wg.Go(func() { p.count(ctx, files) })
	return p
}

// count finds out how much there is to do.
func (p *progress) count(ctx context.Context, all iter.Seq[file]) {
	var files, bytes int64
	sized := true
	for f := range all {
		if ctx.Err() != nil {
			return
		}
		files, bytes, sized = files+1, bytes+f.size, sized && f.size != unknown
	}
	if sized {
		p.ofBytes.Store(bytes)
		p.bar.SetTotal(bytes, false)
	} else {
		p.bar.SetTotal(files, false)
	}
	p.ofFiles.Store(files)
}

// text is what stands beside the bar.
func (p *progress) text(s decor.Statistics) string {
	now := state{p.files.Load(), p.ofFiles.Load(), p.bytes.Load(), p.ofBytes.Load(), time.Since(p.begun)}
	return now.text(s.AvailableWidth)
}

// state is how far it is.
type state struct {
	files, ofFiles int64 // ofFiles is 0 as long as count does not know
	bytes, ofBytes int64 // ofBytes is 0 if it cannot know
	took           time.Duration
}

// text describes it on a terminal of that width. It keeps its own width as the numbers grow.
func (s state) text(width int) string {
	rate := size(float64(s.bytes)/s.took.Seconds()) + "/s"
	if s.ofFiles == 0 {
		return fmt.Sprintf(" %d files · %s · %s", s.files, size(float64(s.bytes)), rate)
	}
	if s.ofBytes == 0 {
		return fmt.Sprintf(" %d/%d files · %s · %s", s.files, s.ofFiles, size(float64(s.bytes)), rate)
	}
	all, left := fmt.Sprint(s.ofFiles), "?"
	if s.bytes > 0 {
		rest := float64(max(0, s.ofBytes-s.bytes)) / float64(s.bytes)
		left = time.Duration(rest * float64(s.took)).Round(time.Second).String()
	}
	short := fmt.Sprintf("%8s/%s · %10s", size(float64(s.bytes)), size(float64(s.ofBytes)), rate)
	if width < 80 {
		return " " + short
	}
	return fmt.Sprintf(" %*d/%s files · %s · %3s left", len(all), s.files, all, short, left)
}

// size is a number of bytes for people.
func size(bytes float64) string {
	unit := "B"
	for _, larger := range []string{"kB", "MB", "GB", "TB"} {
		if bytes < 999.95 {
			break
		}
		bytes, unit = bytes/1000, larger
	}
	return fmt.Sprintf("%.1f %s", bytes, unit)
}

// above returns a writer to f whose lines come out above the bar if f is a terminal, too.
func (p *progress) above(f *os.File) io.Writer {
	if p.screen != nil && term.IsTerminal(int(f.Fd())) {
		return p.screen
	}
	return f
}

// done counts one file.
func (p *progress) done(f file) {
	files, bytes := p.files.Add(1), p.bytes.Add(f.size)
	switch {
	case p.bar == nil:
	case p.ofFiles.Load() > 0 && p.ofBytes.Load() == 0:
		p.bar.SetCurrent(files)
	default:
		p.bar.SetCurrent(bytes)
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
	took, bytes := time.Since(p.begun), float64(p.bytes.Load())
	fmt.Fprintf(os.Stderr, "hashed %s in %.1f s (%s/s), files: %d\n",
		size(bytes), took.Seconds(), size(bytes/took.Seconds()), p.files.Load())
}

// Package visit looks at the pages of the examples with a real browser, for their tests.
package visit

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// Page is a page in a browser that has no window.
type Page struct {
	t   *testing.T
	ctx context.Context
}

// Open starts a browser for the time of the test and opens a page. Without a browser the test is skipped.
func Open(t *testing.T, url string) *Page {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(find(t)), chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(time.Minute))
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx, chromedp.WithErrorf(t.Logf))
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil { // waits until the browser has ended
			t.Logf("the browser: %v", err)
		}
		cancel()
	})
	p := &Page{t, ctx}
	p.Do(chromedp.EmulateViewport(1000, 760), chromedp.Navigate(url))
	return p
}

// find returns the browser's path.
func find(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("no Chromium to look at the page with: apt-get install chromium")
	return ""
}

// Do does something on the page.
func (p *Page) Do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, steps...); err != nil {
		p.t.Fatal(err)
	}
}

// Choose chooses files to upload.
func (p *Page) Choose(paths ...string) {
	p.t.Helper()
	p.Do(chromedp.SetUploadFiles(chromedp.CSS("input[type=file]"), paths))
}

// Until waits until an expression is true on the page.
func (p *Page) Until(expression string) {
	p.t.Helper()
	wait := chromedp.Poll[chromedp.Void](expression, chromedp.WithPollingInterval(20*time.Millisecond), chromedp.WithPollingTimeout(time.Minute))
	if err := chromedp.Do(p.ctx, wait); err != nil {
		p.t.Fatalf("%s: %v: the page says %q", expression, err, p.Value("document.body.innerText"))
	}
}

// Value returns the text that an expression is on the page.
func (p *Page) Value(expression string) string {
	p.t.Helper()
	text, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](expression))
	if err != nil {
		p.t.Errorf("%s: %v", expression, err)
	}
	return text
}

// Keep writes pictures of the page to the directory SCREENSHOTS, if the environment names one: as it is on a desk, and
// on a telephone in the dark.
func (p *Page) Keep(name string) {
	p.t.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	p.keep(filepath.Join(dir, name+".png"))
	p.Do(chromedp.EmulateViewport(390, 844, chromedp.EmulateScale(2)), scheme("dark"))
	p.keep(filepath.Join(dir, name+"-phone.png"))
	p.Do(chromedp.EmulateViewport(1000, 760), scheme("light"))
}

func scheme(name string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
		})
		return err
	})
}

func (p *Page) keep(path string) {
	p.t.Helper()
	png, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(path, png, 0o644)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

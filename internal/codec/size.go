package codec

import "fmt"

func (e *encoder) tooLarge(o Options, n int64) {
	e.err = e.sendError(e.biggest.from, e.biggest.where, nil, fmt.Sprintf(
		"the message would have %s, the limit is %s; this part alone has %s: capture less, or raise the message limit",
		humanBytes(n), humanBytes(o.limit()), humanBytes(e.biggest.size)))
}

// humanBytes writes a number of bytes as people do.
func humanBytes(n int64) string {
	const kilo = 1000
	if n < kilo {
		return fmt.Sprintf("%d bytes", n)
	}
	f := float64(n)
	for _, unit := range [...]string{"kB", "MB", "GB"} {
		f /= kilo
		if f < 9.95 {
			return fmt.Sprintf("%.1f %s", f, unit)
		}
		if f < kilo-0.5 || unit == "GB" {
			return fmt.Sprintf("%.0f %s", f, unit)
		}
	}
	return ""
}

package adapter

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const longest = 400 // characters of what a provider said, in an error

// OneLine makes what a provider said fit for an error message: one line, of at most
// 400 characters, without control characters.
func OneLine(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
	if r := []rune(s); len(r) > longest {
		return string(r[:longest]) + "…"
	}
	return s
}

// LongestWait is the most that a provider may want to be left alone.
const LongestWait = 24 * time.Hour

// RetryAfter reads how long a provider wants to be left alone, from Retry-After-Ms
// or Retry-After (RFC 9110, section 10.2.3): 0 if it does not say, and no more than
// LongestWait whatever it says.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	wait := func(s string, unit time.Duration) (time.Duration, bool) {
		f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err != nil || math.IsNaN(f) {
			return 0, false
		}
		return time.Duration(min(max(f*float64(unit), 0), float64(LongestWait))), true
	}
	if d, ok := wait(h.Get("Retry-After-Ms"), time.Millisecond); ok {
		return d
	}
	v := h.Get("Retry-After")
	if d, ok := wait(v, time.Second); ok {
		return d
	}
	if t, err := http.ParseTime(v); err == nil {
		return min(max(t.Sub(now), 0), LongestWait)
	}
	return 0
}

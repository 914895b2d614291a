package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/fermata-run/fermata/agent"
)

// The small words of which what is told is made.

func note(s string) para { return para{mark: "  · ", tint: dim, text: cleanLine(s), paint: dim} }
func warn(s string) para { return para{mark: "  ! ", tint: yellow, text: cleanLine(s)} }
func bad(s string) para  { return para{mark: "  ✗ ", tint: red, text: cleanLine(s)} }

func nameOf(u agent.User) string {
	if u.Name != "" {
		return u.Name
	}
	return u.ID
}

func by(u agent.User) string {
	if n := nameOf(u); n != "" {
		return " by " + cleanLine(n)
	}
	return ""
}

func because(s string) string {
	if s == "" {
		return ""
	}
	return ": " + cleanLine(s)
}

func again(wait time.Duration) string {
	if wait <= 0 {
		return ""
	}
	return " – next try in " + ago(wait)
}

// ago shows a span of time in its largest unit or two.
func ago(d time.Duration) string {
	switch d = d.Round(time.Millisecond); {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", d.Seconds()), ".0") + " s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

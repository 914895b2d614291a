package cli

import (
	"os"

	"golang.org/x/term"
)

// A paint is how something looks on a terminal.
type paint string

const (
	plain  paint = ""
	bold   paint = "1"
	dim    paint = "2"
	red    paint = "31"
	green  paint = "32"
	yellow paint = "33"
	cyan   paint = "36"
)

// painter colours text, or leaves it alone.
type painter bool

func (p painter) do(with paint, s string) string {
	if !p || with == plain || s == "" {
		return s
	}
	return "\x1b[" + string(with) + "m" + s + "\x1b[0m"
}

// painterFor says whether what is written to f is coloured.
func painterFor(f *os.File, never bool) painter {
	if never || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	return painter(isTerminal(f))
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// sizeOf returns how many columns and rows the terminal f has; 0, 0 for what
// is none.
func sizeOf(f *os.File) (columns, rows int) {
	w, h, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0, 0
	}
	if w <= 0 {
		w = 80
	}
	if h <= 0 {
		h = 24
	}
	return w, h
}
